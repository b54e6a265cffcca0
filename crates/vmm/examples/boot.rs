// SPDX-License-Identifier: Apache-2.0
//! Boots the machine of a JSON specification with its console on standard output and input.
//!
//! `boot machine.json [button-after=SECONDS] [kill-after=SECONDS] [when=TEXT send=TEXT]...`: each `send` (text, `BUTTON`,
//! `PAUSE` or `RESET`) follows once the output contains its `when`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks on the terminal")]

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_spec::report::MachineEvent;
use flotilla_spec::{HostLimits, MachineSpec};
use flotilla_vmm::{Console, Machine, MachineEvents, MachineOptions, Resources};

struct Print(Instant);

impl MachineEvents for Print {
    fn event(&self, event: MachineEvent) {
        eprintln!("[{:8.3}] {event:?}", self.0.elapsed().as_secs_f64());
    }
}

struct Script {
    steps: Vec<(String, String)>,
    seen: String,
}

impl Script {
    fn advance(&mut self, output: &[u8], console: &Console, machine: &Machine) {
        self.seen.push_str(&String::from_utf8_lossy(output));
        while let Some((when, send)) =
            self.steps.first().filter(|(when, _)| self.seen.contains(when)).cloned()
        {
            let end = self.seen.find(&when).map_or(0, |at| at + when.len());
            self.seen.drain(..end);
            self.steps.remove(0);
            match send.as_str() {
                "BUTTON" => eprintln!("button: {:?}", machine.power_button()),
                "PAUSE" => eprintln!("pause, resume: {:?} {:?}", machine.pause(), machine.resume()),
                "RESET" => eprintln!("reset: {:?}", machine.reset()),
                text => drop(console.send_input(text.replace("\\n", "\n").as_bytes())),
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |key: &str| arguments.iter().find_map(|a| a.strip_prefix(key)).and_then(|a| a.parse::<u64>().ok());
    let texts = |key: &str| {
        arguments.iter().filter_map(|a| a.strip_prefix(key).map(str::to_owned)).collect::<Vec<_>>()
    };
    let path = arguments.first().ok_or("Usage: boot machine.json")?;
    let spec: MachineSpec = serde_json::from_slice(&std::fs::read(path)?)?;
    let spec = spec.validate(&HostLimits::ANY).map_err(|faults| format!("{faults:#?}"))?;
    let start = Instant::now();
    let console = Console::new();
    let resources = Resources::open(&spec)?;
    let options = MachineOptions::new(Arc::new(Print(start)), Arc::clone(&console));
    let machine = Machine::build(spec, resources, options).map_err(|error| error.describe())?;
    machine.boot()?;
    let mut script =
        Script { steps: texts("when=").into_iter().zip(texts("send=")).collect(), seen: String::new() };
    let (mut offset, mut button) = (0, number("button-after="));
    let mut buffer = vec![0; 4096];
    loop {
        let chunk = console.read_from(offset, &mut buffer, Duration::from_millis(200));
        let output = buffer.get(..chunk.len).unwrap_or_default();
        std::io::stdout().write_all(output)?;
        std::io::stdout().flush()?;
        script.advance(output, &console, &machine);
        offset = chunk.offset + chunk.len as u64;
        let elapsed = start.elapsed().as_secs();
        if button.is_some_and(|after| elapsed >= after) {
            button = None;
            eprintln!("button: {:?}", machine.power_button());
        }
        if number("kill-after=").is_some_and(|after| elapsed >= after) {
            machine.stop()?;
        }
        if chunk.ended {
            break;
        }
    }
    let exit = machine.wait(None);
    println!("\n{:8.3} {exit:?}", start.elapsed().as_secs_f64());
    for (name, value) in machine.metrics().into_iter().filter(|(_, value)| *value > 0) {
        println!("{name} = {value}");
    }
    Ok(())
}
