// SPDX-License-Identifier: Apache-2.0
//! Metrics of the virtio devices.

use super::{Component, Metric, Role, Unit, bytes, count, gauge};

const NOTIFICATIONS: Metric = count(
    "notifications",
    "Doorbells of the driver that the device answered; several rings before an answer count once, those of vhost-net not at all.",
);
const BROKEN_QUEUES: Metric = count("broken_queues", "Queues the driver broke.");

pub(super) const DISK: Component = Component {
    name: "disk",
    title: "A disk",
    role: Role::Virtio,
    metrics: &[
        count("read_requests", "Reads that ended, well or not."),
        bytes("read_bytes", "Bytes read."),
        count("read_errors", "Reads that failed or were refused."),
        count("write_requests", "Writes that ended, well or not."),
        bytes("write_bytes", "Bytes written."),
        count("write_errors", "Writes that failed or were refused."),
        count("flush_requests", "Flushes the driver asked for."),
        count("flush_errors", "Flushes that failed."),
        count("discard_requests", "Requests to discard that ended, well or not."),
        count("discard_errors", "Requests to discard that failed or were refused."),
        count("zero_requests", "Requests to write zeroes that ended, well or not."),
        count("zero_errors", "Requests to write zeroes that failed or were refused."),
        count("space_waits", "Times that a write had to wait for space on the host."),
        count("throttle_waits", "Times that requests had to wait for a limit."),
        count("vcpu_rounds", "Doorbells that the ringing vCPU answered itself."),
        count("id_requests", "Requests for the serial."),
        count("id_errors", "Requests for the serial with too little room."),
        count("unsupported_requests", "Requests of a type the device does not know."),
        BROKEN_QUEUES,
        NOTIFICATIONS,
    ],
};

pub(super) const PMEM: Component = Component {
    name: "pmem",
    title: "A disk that is mapped as memory",
    role: Role::Virtio,
    metrics: &[
        count(
            "flush_requests",
            "Flushes the driver asked for; those that wait at once are one for the host.",
        ),
        count("flush_errors", "Flushes that failed."),
        count("unsupported_requests", "Requests that are no flush, or have no room for an answer."),
        count("refused_writes", "Writes of the guest to memory that it may only read."),
        gauge("mapped_bytes", Unit::Bytes, "What the guest reaches, with zeroes up to a whole huge page."),
        BROKEN_QUEUES,
        NOTIFICATIONS,
    ],
};

pub(super) const NET: Component = Component {
    name: "net",
    title: "A network interface whose frames the worker moves",
    role: Role::Virtio,
    metrics: &[
        count("rx_frames", "Frames given to the driver."),
        bytes("rx_bytes", "Bytes of them, without their headers."),
        count(
            "rx_dropped",
            "Frames dropped because the buffers of the driver were too small, or it had not agreed to their kind.",
        ),
        count("rx_filtered", "Frames that the filter of the driver keeps out."),
        count("rx_no_buffers", "Times the driver had no buffer while frames may have waited."),
        count("rx_throttle_waits", "Times that frames for the driver had to wait for a limit."),
        count("rx_errors", "Failures of the back-end to receive."),
        count("tx_frames", "Frames the back-end took."),
        bytes("tx_bytes", "Bytes of them, without their headers."),
        count("tx_throttle_waits", "Times that frames of the driver had to wait for a limit."),
        count("tx_dropped", "Frames dropped because the back-end was full or the link down."),
        count(
            "tx_errors",
            "Frames dropped because they, or their headers, made no sense, or the back-end failed.",
        ),
        count(
            "tx_spoofed",
            "Frames dropped because they came from an address that is not that of the interface.",
        ),
        count("ctrl_commands", "Control commands carried out."),
        count("ctrl_refused", "Control commands refused."),
        count("announcements", "Times the driver was asked to announce itself."),
        count("link_losses", "Times its network went away for good: once at most."),
        BROKEN_QUEUES,
        NOTIFICATIONS,
    ],
};

pub(super) const RNG: Component = Component {
    name: "rng",
    title: "The entropy device",
    role: Role::Virtio,
    metrics: &[
        count("requests", "Requests served."),
        bytes("bytes", "Random bytes given."),
        count("source_failures", "Requests cut short because the source failed."),
        count("throttle_waits", "Times that requests had to wait for a limit."),
        BROKEN_QUEUES,
        NOTIFICATIONS,
    ],
};

pub(super) const VSOCK: Component = Component {
    name: "vsock",
    title: "The socket device",
    role: Role::Virtio,
    metrics: &[
        count("rx_packets", "Packets to the guest."),
        bytes("rx_bytes", "Bytes of connections to the guest."),
        count("tx_packets", "Packets from the guest."),
        bytes("tx_bytes", "Bytes of connections from the guest."),
        count("tx_errors", "Packets from the guest that made no sense."),
        count("connections", "Connections that came about."),
        count(
            "refused",
            "Connections that did not come about: nobody there, too many, or no answer in time.",
        ),
        count("resets", "Resets sent to the guest."),
        count("transport_resets", "Times the guest was told that all its connections are gone."),
        BROKEN_QUEUES,
        NOTIFICATIONS,
    ],
};

pub(super) const SHARE: Component = Component {
    name: "share",
    title: "A shared folder",
    role: Role::Virtio,
    metrics: &[
        count(
            "interrupts",
            "Interrupts passed on for virtiofsd, where it cannot reach the driver by itself.",
        ),
        count("losses", "Times that virtiofsd went away for good: once at most."),
        BROKEN_QUEUES,
        NOTIFICATIONS,
    ],
};

pub(super) const CONSOLE: Component = Component {
    name: "console",
    title: "The console device",
    role: Role::Virtio,
    metrics: &[
        bytes("rx_bytes", "Bytes to the guest, of all ports."),
        bytes("tx_bytes", "Bytes from the guest, of all ports."),
        count("tx_waits", "Times that output of the guest had to wait for its reader."),
        bytes("dropped_bytes", "Bytes of output that were more than one buffer may hold."),
        count("control_received", "Messages of the driver about ports."),
        count("control_sent", "Messages to the driver about ports."),
        count("control_errors", "Messages of the driver about ports that made no sense."),
        BROKEN_QUEUES,
        NOTIFICATIONS,
    ],
};

pub(super) const BALLOON: Component = Component {
    name: "balloon",
    title: "The memory balloon",
    role: Role::Virtio,
    metrics: &[
        count("inflated_pages", "Pages the driver put into the balloon."),
        count("deflated_pages", "Pages it took out."),
        bytes("released_bytes", "Bytes of pages put in that the host has back."),
        bytes("reported_bytes", "Bytes of reported free pages that the host has back."),
        count("hint_rounds", "Times that the guest was asked for what nobody in it uses."),
        bytes("hinted_bytes", "Bytes it named then that the host has back."),
        count("ignored_hints", "Lists of unused memory that came when nobody had asked, or too late."),
        count(
            "ignored_pages",
            "Pages the driver named that are none of its memory, twice in a list, or too many for one.",
        ),
        count("refused_ranges", "Ranges that the kernel of the host did not take back."),
        count("statistics", "Times that the guest told how it is off for memory."),
        BROKEN_QUEUES,
        gauge("target_bytes", Unit::Bytes, "What the guest shall give up."),
        gauge("actual_bytes", Unit::Bytes, "What the guest says it has given up."),
        NOTIFICATIONS,
    ],
};
