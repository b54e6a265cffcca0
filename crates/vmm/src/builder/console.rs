// SPDX-License-Identifier: Apache-2.0
//! The console device, with a console of the machine behind each of its ports.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_device_model::console::PortHost;
use flotilla_devices::virtio::console::device::{ConsoleDevice, Port};
use flotilla_spec::ConsoleSpec;

use crate::console::Console;
use crate::error::BuildError;

/// Consoles by the names of their ports.
pub type Consoles = BTreeMap<String, Arc<Console>>;

pub fn device(spec: &ConsoleSpec) -> Result<(ConsoleDevice, Consoles), BuildError> {
    let terminal = Console::new();
    let mut consoles = Consoles::from([(ConsoleSpec::TERMINAL.to_owned(), Arc::clone(&terminal))]);
    let mut ports = Vec::new();
    for port in &spec.ports {
        let stream = Console::stream();
        consoles.insert(port.name.clone(), Arc::clone(&stream));
        ports.push(Port { name: port.name.clone(), host: stream as Arc<dyn PortHost> });
    }
    let device = ConsoleDevice::new("console", terminal, ports);
    let device = device.map_err(|source| BuildError::Host { step: "make the console device", source })?;
    Ok((device, consoles))
}
