// SPDX-License-Identifier: Apache-2.0
//! Every metric of a machine, declared once: what devices, vCPUs and the worker report, and what clients are told of it.
//!
//! A machine tells its metrics under names `<part>.<metric>`: `disk:root.read_bytes`, `vcpu:0.exits_port_in`. A part is a
//! device, a vCPU or the process; its [`Component`] says which metrics it has. Those of a transport come beside those of
//! the device that is behind it, and begin with the prefix of their component.

mod devices;
mod platform;
mod texts;
mod transports;

pub(crate) use texts::{table, typescript};

/// Whether a value only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Grows from the start of the worker on.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl MetricKind {
    /// The kind as Prometheus calls it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things or times; the help text says which.
    Count,
    /// Bytes.
    Bytes,
    /// Nanoseconds. Prometheus is told seconds.
    Nanoseconds,
}

impl Unit {
    /// The unit as a word.
    pub fn text(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Nanoseconds => "nanoseconds",
        }
    }
}

/// One declared metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name in its component: lower case, digits and `_`.
    pub name: &'static str,
    /// Whether it only grows.
    pub kind: MetricKind,
    /// What it counts.
    pub unit: Unit,
    /// What it tells, one sentence.
    pub help: &'static str,
}

const fn metric(name: &'static str, kind: MetricKind, unit: Unit, help: &'static str) -> Metric {
    Metric { name, kind, unit, help }
}

const fn count(name: &'static str, help: &'static str) -> Metric {
    metric(name, MetricKind::Counter, Unit::Count, help)
}

const fn bytes(name: &'static str, help: &'static str) -> Metric {
    metric(name, MetricKind::Counter, Unit::Bytes, help)
}

const fn nanoseconds(name: &'static str, help: &'static str) -> Metric {
    metric(name, MetricKind::Counter, Unit::Nanoseconds, help)
}

const fn gauge(name: &'static str, unit: Unit, help: &'static str) -> Metric {
    metric(name, MetricKind::Gauge, unit, help)
}

/// Where the metrics of a component appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Under a name of their own.
    Own,
    /// The same, with those of a transport beside them.
    Virtio,
    /// Beside those of a virtio device, under its name.
    Transport,
}

/// What has the metrics declared with it.
#[derive(Debug, Clone, Copy)]
pub struct Component {
    /// Its name: that of each part without number or id. Of a transport, the prefix of its metrics without `_`.
    pub name: &'static str,
    /// What it is, for the documentation.
    pub title: &'static str,
    /// Where its metrics appear.
    pub role: Role,
    /// Its metrics, in the order they are reported.
    pub metrics: &'static [Metric],
}

/// Every component.
pub const COMPONENTS: &[Component] = &[
    platform::VCPU,
    platform::PROCESS,
    platform::INTERRUPTS,
    devices::DISK,
    devices::PMEM,
    devices::NET,
    devices::RNG,
    devices::SHARE,
    devices::VSOCK,
    devices::CONSOLE,
    devices::BALLOON,
    transports::PCI,
    transports::MMIO,
    platform::SERIAL,
    platform::RTC,
    platform::I8042,
    platform::ACPI_PM,
    platform::PVPANIC,
    platform::RESET_CONTROL,
    platform::WATCHDOG,
    platform::VM_GENERATION,
];

impl Component {
    /// The component of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        COMPONENTS.iter().find(|component| component.name == name)
    }

    /// The component of a part: `disk` of `disk:root`, `serial` of `serial0`.
    pub fn of_part(part: &str) -> Option<&'static Self> {
        let kind = part.split_once(':').map_or(part, |(kind, _)| kind);
        let plain = kind.trim_end_matches(|digit: char| digit.is_ascii_digit());
        // The number is a part of the name of the 8042.
        Self::named(kind).or_else(|| Self::named(plain)).filter(|component| component.role != Role::Transport)
    }

    /// How the values that a part reports differ from the declaration: a text for each name that is not declared, and for
    /// each that is declared and missing.
    pub fn differences(&self, reported: &[(&'static str, u64)]) -> Vec<String> {
        let missing =
            self.metrics.iter().filter(|metric| !reported.iter().any(|(name, _)| *name == metric.name));
        let unknown =
            reported.iter().filter(|(name, _)| !self.metrics.iter().any(|metric| metric.name == *name));
        let missing =
            missing.map(|metric| format!("{}.{} is declared and not reported", self.name, metric.name));
        missing.chain(unknown.map(|(name, _)| format!("{}.{name} is not declared", self.name))).collect()
    }
}

/// The declaration of a metric by the name that a machine tells it under.
pub fn declared(full: &str) -> Option<(&'static Component, &'static Metric)> {
    let (part, name) = full.rsplit_once('.')?;
    let own = Component::of_part(part)?;
    let beside = |component: &&Component| own.role == Role::Virtio && component.role == Role::Transport;
    std::iter::once(own).chain(COMPONENTS.iter().filter(beside)).find_map(|component| {
        component.metrics.iter().find(|metric| metric.name == name).map(|metric| (component, metric))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_those_that_prometheus_takes_and_come_once() {
        let word = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_lowercase())
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        let mut seen = BTreeSet::new();
        for component in COMPONENTS {
            for metric in component.metrics {
                assert!(word(metric.name), "{}", metric.name);
                assert!(seen.insert((component.name, metric.name)), "{} twice", metric.name);
                assert!(
                    metric.help.ends_with('.') && !metric.help.contains(['\n', '|', '\'', '\\']),
                    "{}",
                    metric.help
                );
                assert_eq!(metric.name.ends_with("_ns"), metric.unit == Unit::Nanoseconds, "{}", metric.name);
                let prefix = format!("{}_", component.name);
                assert!(
                    component.role != Role::Transport || metric.name.starts_with(&prefix),
                    "{}",
                    metric.name
                );
            }
        }
    }

    #[test]
    fn finds_the_declaration_of_what_a_machine_tells() {
        let found = |full| declared(full).map(|(component, metric)| (component.name, metric.name));
        assert_eq!(found("disk:root.read_bytes"), Some(("disk", "read_bytes")));
        assert_eq!(found("disk:my.root2.read_bytes"), Some(("disk", "read_bytes")));
        assert_eq!(found("rng0.pci_resets"), Some(("pci", "pci_resets")));
        assert_eq!(found("serial0.bytes_sent"), Some(("serial", "bytes_sent")));
        assert_eq!(found("vcpu:63.run_ns"), Some(("vcpu", "run_ns")));
        assert_eq!(found("i8042.resets"), Some(("i8042", "resets")));
        for unknown in
            ["", "disk", "disk:root.", "disk:root.rx_bytes", "i8042.pci_resets", "pci.pci_resets", "x.resets"]
        {
            assert_eq!(found(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn tells_what_a_device_reports_beside_its_declaration() {
        let component = Component::named("reset-control").unwrap();
        assert_eq!(component.differences(&[("resets", 1)]), Vec::<String>::new());
        assert_eq!(
            component.differences(&[("starts", 1)]),
            ["reset-control.resets is declared and not reported", "reset-control.starts is not declared"]
        );
    }
}
