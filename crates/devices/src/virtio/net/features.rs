// SPDX-License-Identifier: Apache-2.0
//! The feature bits (virtio 1.2 §5.1.3) and what they say about offloads.

use flotilla_device_model::net::Offloads;

pub(super) const VIRTIO_NET_F_CSUM: u64 = 1 << 0;
pub(super) const VIRTIO_NET_F_GUEST_CSUM: u64 = 1 << 1;
pub(super) const VIRTIO_NET_F_CTRL_GUEST_OFFLOADS: u64 = 1 << 2;
pub(super) const VIRTIO_NET_F_MTU: u64 = 1 << 3;
pub(super) const VIRTIO_NET_F_MAC: u64 = 1 << 5;
pub(super) const VIRTIO_NET_F_GUEST_TSO4: u64 = 1 << 7;
pub(super) const VIRTIO_NET_F_GUEST_TSO6: u64 = 1 << 8;
pub(super) const VIRTIO_NET_F_GUEST_ECN: u64 = 1 << 9;
pub(super) const VIRTIO_NET_F_GUEST_UFO: u64 = 1 << 10;
pub(super) const VIRTIO_NET_F_HOST_TSO4: u64 = 1 << 11;
pub(super) const VIRTIO_NET_F_HOST_TSO6: u64 = 1 << 12;
pub(super) const VIRTIO_NET_F_HOST_ECN: u64 = 1 << 13;
pub(super) const VIRTIO_NET_F_HOST_UFO: u64 = 1 << 14;
pub(super) const VIRTIO_NET_F_MRG_RXBUF: u64 = 1 << 15;
pub(super) const VIRTIO_NET_F_STATUS: u64 = 1 << 16;
pub(super) const VIRTIO_NET_F_CTRL_VQ: u64 = 1 << 17;
pub(super) const VIRTIO_NET_F_CTRL_RX: u64 = 1 << 18;
pub(super) const VIRTIO_NET_F_CTRL_RX_EXTRA: u64 = 1 << 20;
pub(super) const VIRTIO_NET_F_GUEST_ANNOUNCE: u64 = 1 << 21;
pub(super) const VIRTIO_NET_F_MQ: u64 = 1 << 22;
pub(super) const VIRTIO_NET_F_CTRL_MAC_ADDR: u64 = 1 << 23;
pub(super) const VIRTIO_NET_F_GUEST_USO4: u64 = 1 << 54;
pub(super) const VIRTIO_NET_F_GUEST_USO6: u64 = 1 << 55;
pub(super) const VIRTIO_NET_F_HOST_USO: u64 = 1 << 56;

/// What every interface offers whose back-end knows virtio headers. No `CTRL_VLAN`: every tag passes.
pub(super) const ALWAYS: u64 = VIRTIO_NET_F_MAC
    | VIRTIO_NET_F_STATUS
    | VIRTIO_NET_F_MRG_RXBUF
    | VIRTIO_NET_F_CTRL_VQ
    | VIRTIO_NET_F_GUEST_ANNOUNCE
    | VIRTIO_NET_F_CTRL_MAC_ADDR;

/// What an interface offers that looks at each received frame.
pub(super) const FILTERING: u64 = VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_RX_EXTRA;

/// The features of the driver's side of offloads, which `CTRL_GUEST_OFFLOADS_SET` may switch.
pub(super) const GUEST_OFFLOADS: u64 = VIRTIO_NET_F_GUEST_CSUM
    | VIRTIO_NET_F_GUEST_TSO4
    | VIRTIO_NET_F_GUEST_TSO6
    | VIRTIO_NET_F_GUEST_ECN
    | VIRTIO_NET_F_GUEST_UFO
    | VIRTIO_NET_F_GUEST_USO4
    | VIRTIO_NET_F_GUEST_USO6;

/// The feature bits for what a back-end can do, in both directions.
pub(super) fn of_backend(offloads: Offloads) -> u64 {
    let Offloads { checksum, tso4, tso6, ecn, ufo, uso } = offloads;
    // Segmentation needs checksums, ECN needs TCP segmentation (virtio 1.2 §5.1.3.1).
    let tcp = checksum && (tso4 || tso6);
    [
        (checksum, VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_CTRL_GUEST_OFFLOADS),
        (checksum && tso4, VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_GUEST_TSO4),
        (checksum && tso6, VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_GUEST_TSO6),
        (tcp && ecn, VIRTIO_NET_F_HOST_ECN | VIRTIO_NET_F_GUEST_ECN),
        (checksum && ufo, VIRTIO_NET_F_HOST_UFO | VIRTIO_NET_F_GUEST_UFO),
        (checksum && uso, VIRTIO_NET_F_HOST_USO | VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6),
    ]
    .into_iter()
    .filter_map(|(offered, bits)| offered.then_some(bits))
    .fold(0, |features, bits| features | bits)
}

/// What the driver takes, of what it negotiated or switched on since.
pub(super) fn guest_offloads(features: u64) -> Offloads {
    let checksum = features & VIRTIO_NET_F_GUEST_CSUM != 0;
    let has = |bits| checksum && features & bits == bits;
    let (tso4, tso6) = (has(VIRTIO_NET_F_GUEST_TSO4), has(VIRTIO_NET_F_GUEST_TSO6));
    Offloads {
        checksum,
        tso4,
        tso6,
        ecn: (tso4 || tso6) && has(VIRTIO_NET_F_GUEST_ECN),
        ufo: has(VIRTIO_NET_F_GUEST_UFO),
        // A tap cannot cut one kind and leave the other whole.
        uso: has(VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6),
    }
}
