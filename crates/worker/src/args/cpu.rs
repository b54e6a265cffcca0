// SPDX-License-Identifier: Apache-2.0
//! What the CPUs are like, and where they run.

use clap::Args;
use flotilla_spec::{CpuModel, CpuSpec, PinSpec, TopologySpec};

/// What the CPUs are like, and where they run.
#[derive(Debug, Args)]
pub struct Cpu {
    /// How the CPUs are arranged; the product is their number. Each is 1 where it is left out
    #[arg(id = "cpu_topology", long = "cpu-topology", value_name = "[sockets=N][,cores=N][,threads=N]", value_parser = topology)]
    pub topology: Option<TopologySpec>,
    /// What the guest sees of the processor: host, x86-64-v2 or x86-64-v3, then features by their names in /proc/cpuinfo
    #[arg(id = "cpu_model", long = "cpu-model", value_name = "MODEL[,+FEATURE][,-FEATURE]", default_value = "host", value_parser = model)]
    pub model: Model,
    /// Let the guest run virtual machines of its own
    #[arg(long)]
    pub nested: bool,
    /// The host's CPUs for each virtual CPU, such as 0/1/2-3; an empty list means any
    #[arg(long, value_name = "LIST/LIST...", value_parser = vcpus)]
    pub pin_vcpus: Option<Lists>,
    /// The host's CPUs for the threads of devices, such as 0,2-3
    #[arg(long, value_name = "LIST", value_parser = io)]
    pub pin_io: Option<List>,
}

/// `--cpu-model`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    base: CpuModel,
    enable: Vec<String>,
    disable: Vec<String>,
}

/// Numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List(Vec<u32>);

/// Lists of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lists(Vec<Vec<u32>>);

impl Cpu {
    /// As the specification says it.
    pub fn into_spec(self) -> CpuSpec {
        let Model { base: model, enable, disable } = self.model;
        let vcpus = self.pin_vcpus.map(|lists| lists.0).unwrap_or_default();
        let io = self.pin_io.map(|list| list.0).unwrap_or_default();
        let (topology, nested) = (self.topology, self.nested);
        CpuSpec { topology, model, enable, disable, nested, pin: PinSpec { vcpus, io } }
    }
}

fn topology(text: &str) -> Result<TopologySpec, String> {
    let mut topology = TopologySpec { sockets: 1, cores: 1, threads: 1 };
    for part in text.split(',') {
        let (name, number) = part.split_once('=').unwrap_or((part, ""));
        let place = match name {
            "sockets" => &mut topology.sockets,
            "cores" => &mut topology.cores,
            "threads" => &mut topology.threads,
            _ => return Err(format!("{part:?} is none of: sockets=N, cores=N, threads=N")),
        };
        *place = number.parse().map_err(|_| format!("{part:?} has no number"))?;
    }
    Ok(topology)
}

fn model(text: &str) -> Result<Model, String> {
    let mut parts = text.split(',');
    let model = match parts.next() {
        Some("host") => CpuModel::Host,
        Some("x86-64-v2") => CpuModel::X86_64V2,
        Some("x86-64-v3") => CpuModel::X86_64V3,
        other => {
            let other = other.unwrap_or_default();
            return Err(format!("model {other:?} is none of: host, x86-64-v2, x86-64-v3"));
        }
    };
    let mut wanted = Model { base: model, enable: Vec::new(), disable: Vec::new() };
    for part in parts {
        match (part.strip_prefix('+'), part.strip_prefix('-')) {
            (Some(name), _) => wanted.enable.push(name.to_owned()),
            (_, Some(name)) => wanted.disable.push(name.to_owned()),
            (None, None) => return Err(format!("{part:?} begins neither with + nor with -")),
        }
    }
    Ok(wanted)
}

fn vcpus(text: &str) -> Result<Lists, String> {
    text.split('/').map(|list| numbers(list, ',')).collect::<Result<_, _>>().map(Lists)
}

fn io(text: &str) -> Result<List, String> {
    numbers(text, ',').map(List)
}

/// `0,2-3` as numbers; empty text has none.
pub(super) fn numbers(text: &str, separator: char) -> Result<Vec<u32>, String> {
    const MOST: u32 = 1024;
    let mut all = Vec::new();
    for part in text.split(separator).filter(|_| !text.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse::<u32>(), last.parse::<u32>()) {
            (Ok(first), Ok(last)) if first <= last && last < MOST => all.extend(first..=last),
            _ => return Err(format!("{part:?} is neither a number nor a range of numbers below {MOST}")),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_numbers_and_ranges() {
        assert_eq!(numbers("0,2-4,7", ','), Ok(vec![0, 2, 3, 4, 7]));
        assert_eq!(vcpus("0//2-3").unwrap().0, [vec![0], vec![], vec![2, 3]]);
        for bad in ["x", "1-", "-1", "3-2", "0,,1", "0-4294967295", "1024"] {
            assert!(numbers(bad, ',').is_err(), "{bad}");
        }
    }

    #[test]
    fn a_model_has_a_name_and_masks() {
        let read = model("x86-64-v2,+aes,-popcnt").unwrap();
        assert_eq!(
            (read.base, read.enable, read.disable),
            (CpuModel::X86_64V2, vec!["aes".into()], vec!["popcnt".into()])
        );
        assert!(model("x86-64-v4").is_err() && model("host,aes").is_err() && model("").is_err());
    }

    #[test]
    fn a_topology_is_one_of_each_unless_it_says_more() {
        let read = topology("cores=4,threads=2").unwrap();
        assert_eq!((read.sockets, read.cores, read.threads), (1, 4, 2));
        assert!(topology("cores").is_err() && topology("dies=2").is_err() && topology("cores=-1").is_err());
    }
}
