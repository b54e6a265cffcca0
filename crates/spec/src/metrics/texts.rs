// SPDX-License-Identifier: Apache-2.0
//! The declared metrics as TypeScript and as a page of the documentation.

use std::fmt::{Arguments, Write};

use super::{COMPONENTS, Component, Metric, MetricKind, Role, Unit};
use crate::generate::quote;

/// Metrics of this prefix are one family for Prometheus, told apart by the label `reason`.
const BY_REASON: &str = "exits_";

/// What Prometheus knows a metric by: the name of its family, and its reason where the family has several.
fn family(component: &Component, metric: &Metric) -> (String, Option<&'static str>) {
    let owner = match component.role {
        Role::Transport => "virtio".to_owned(),
        Role::Own | Role::Virtio => component.name.replace('-', "_"),
    };
    let reason = metric.name.strip_prefix(BY_REASON);
    let name = reason.map_or(metric.name, |_| "exits");
    let name = match metric.unit {
        Unit::Nanoseconds => name.replace("_ns", "_seconds"),
        Unit::Count | Unit::Bytes => name.to_owned(),
    };
    let total = if metric.kind == MetricKind::Counter { "_total" } else { "" };
    (format!("flotilla_{owner}_{name}{total}"), reason)
}

/// The list for TypeScript.
pub(crate) fn typescript(header: &str) -> String {
    let mut text = header.to_owned();
    text.push_str("/** A metric that a machine can tell, under the name `<part>.<name>`. */\n");
    text.push_str("export interface Metric {\n  /** What has it: a kind of device, `vcpu`, `process`, or the transport of a virtio device. */\n");
    text.push_str(
        "  readonly component: string;\n  readonly name: string;\n  readonly kind: 'counter' | 'gauge';\n",
    );
    text.push_str("  readonly unit: 'count' | 'bytes' | 'nanoseconds';\n  /** What Prometheus knows it by; it is told seconds. */\n");
    text.push_str("  readonly family: string;\n  /** Its label `reason`, where the family has several. */\n  readonly reason?: string;\n");
    text.push_str(
        "  readonly help: string;\n}\n\n/** Every metric. */\nexport const METRICS: readonly Metric[] = [\n",
    );
    for (component, metric) in
        COMPONENTS.iter().flat_map(|one| one.metrics.iter().map(move |metric| (one, metric)))
    {
        let (family, reason) = family(component, metric);
        let [component, name, kind, unit, family, help] =
            [component.name, metric.name, metric.kind.text(), metric.unit.text(), &family, metric.help]
                .map(quote);
        let reason = reason.map(|reason| format!(" reason: {},", quote(reason))).unwrap_or_default();
        writes(
            &mut text,
            format_args!(
                "  {{ component: {component}, name: {name}, kind: {kind}, unit: {unit}, family: {family},{reason} help: {help} }},\n"
            ),
        );
    }
    text.push_str("];\n");
    text
}

/// The page of the documentation.
pub(crate) fn table() -> String {
    let mut text =
        "<!-- Generated from crates/spec by `npm run gen`. Do not edit. -->\n# Every metric\n\n".to_owned();
    text.push_str("What the columns mean, and where to read them: [metrics](metrics.md).\n");
    for component in COMPONENTS {
        writes(&mut text, format_args!("\n## {}\n\n{}\n\n", component.title, appearance(component)));
        text.push_str("| name | kind | unit | for Prometheus | meaning |\n|---|---|---|---|---|\n");
        for metric in component.metrics {
            let (family, reason) = family(component, metric);
            let label = reason.map(|reason| format!("{{reason=\"{reason}\"}}")).unwrap_or_default();
            let (kind, unit) = (metric.kind.text(), metric.unit.text());
            let Metric { name, help, .. } = metric;
            writes(&mut text, format_args!("| `{name}` | {kind} | {unit} | `{family}{label}` | {help} |\n"));
        }
    }
    text
}

fn appearance(component: &Component) -> String {
    let example = match component.name {
        name @ ("disk" | "net") => format!("`{name}:<id>`"),
        "vcpu" => "`vcpu:<number>`".to_owned(),
        name @ ("rng" | "serial") => format!("`{name}0`"),
        name => format!("`{name}`"),
    };
    match component.role {
        Role::Own | Role::Virtio => format!("Component {example}."),
        Role::Transport => "Beside those of the device, under its name.".to_owned(),
    }
}

fn writes(text: &mut String, more: Arguments<'_>) {
    // Writing to a text cannot fail.
    let _ = text.write_fmt(more);
}
