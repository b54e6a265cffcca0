// SPDX-License-Identifier: Apache-2.0
//! The calls of the protocol.

use flotilla_spec::id::{DiskId, MachineId};
use flotilla_spec::{LimitsSpec, LinkState, MachineSpec, ThrottleTarget};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;
use crate::wire::protocol;
use crate::{BUILD, OLDEST_PROTOCOL, PROTOCOL};

/// The name of the first call.
pub const HANDSHAKE: &str = "handshake";

/// The first message of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Handshake {
    /// The versions that the client speaks.
    pub protocol: VersionRange,
    /// Who the client is, for the log; at most 200 characters are kept.
    pub client: String,
    /// Send the kept events after this number first. Absent: only those that come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_after: Option<u64>,
}

/// A range of protocol versions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRange {
    /// The oldest.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

impl VersionRange {
    /// The versions that this build speaks.
    pub const OURS: Self = Self { min: OLDEST_PROTOCOL, max: PROTOCOL };

    /// The newest version that both ends speak.
    pub fn agree(self, other: Self) -> Option<u32> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }
}

/// The answer to the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Welcome {
    /// The version that both ends speak from now on.
    pub protocol: u32,
    /// The build of the worker.
    pub build: String,
    /// The machine of the worker, once it is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineId>,
    /// The number of the newest event, zero before the first.
    pub last_event: u64,
}

impl Handshake {
    /// Reads a handshake from method and parameters.
    pub fn parse(method: &str, params: Value) -> Result<Self, Failure> {
        if method != HANDSHAKE {
            return Err(protocol("First message is no handshake"));
        }
        parameters(params)
    }

    /// Settles the version, or says which ones each end speaks.
    pub fn welcome(&self, machine: Option<MachineId>, last_event: u64) -> Result<Welcome, Failure> {
        let VersionRange { min, max } = self.protocol;
        let agreed = VersionRange::OURS.agree(self.protocol).ok_or_else(|| {
            protocol(format!("Client speaks protocol {min} to {max}, worker {OLDEST_PROTOCOL} to {PROTOCOL}"))
        })?;
        Ok(Welcome { protocol: agreed, build: BUILD.to_owned(), machine, last_event })
    }
}

/// What `configure` takes. The descriptors that ride along are those of the specification in the order of
/// [`flotilla_spec::descriptors`], then with `console` the listening socket of the console, then with `black_box` the
/// file that outlives the worker (see [`crate::black_box`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configure {
    /// The id of the machine.
    pub id: MachineId,
    /// What the machine shall be; every source is a descriptor.
    pub spec: MachineSpec,
    /// Whether the listening socket of the console rides along.
    pub console: bool,
    /// Whether the black box rides along, as the last descriptor.
    pub black_box: bool,
}

impl Configure {
    /// Reads the parameters of the call. The specification is read apart, so that its errors name a path in it, not in the
    /// message.
    fn parse(params: Value) -> Result<Self, Failure> {
        let RawConfigure { id, spec, console, black_box } = parameters(params)?;
        Ok(Self { id, spec: MachineSpec::from_value(&spec)?, console, black_box })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawConfigure {
    id: MachineId,
    spec: Value,
    #[serde(default)]
    console: bool,
    #[serde(default)]
    black_box: bool,
}

/// What `setLink` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetLink {
    /// The id of the interface.
    pub interface: String,
    /// What its link shall be.
    pub link: LinkState,
}

/// What `announce` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Announce {
    /// The id of the interface.
    pub interface: String,
}

/// What `setThrottle` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetThrottle {
    /// Whose limits.
    pub target: ThrottleTarget,
    /// All of them; those that are absent end.
    pub limits: LimitsSpec,
}

impl SetThrottle {
    /// Reads the parameters of the call, and checks the limits.
    pub fn parse(params: Value) -> Result<Self, Failure> {
        let this: Self = parameters(params)?;
        this.limits.check("$.limits").map_err(Failure::invalid_spec)?;
        Ok(this)
    }
}

/// What `setBalloon` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetBalloon {
    /// Bytes that the guest shall give up.
    pub target: u64,
}

/// A call of a client after its handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Builds the machine.
    Configure(Box<Configure>),
    /// Starts it.
    Boot,
    /// Stops its virtual CPUs; answered once all have stopped.
    Pause,
    /// Lets them go on.
    Resume,
    /// Presses the power button.
    PowerButton,
    /// Resets the machine as its reset button would.
    Reset,
    /// Ends the machine now.
    Stop,
    /// Asks for state and identity.
    Info,
    /// Asks for the counters.
    Metrics,
    /// Looks how large a disk is now.
    RefreshDisk(RefreshDisk),
    /// Makes a disk larger whose image keeps its size itself.
    GrowDisk(GrowDisk),
    /// Plugs the cable of an interface in, or pulls it out.
    SetLink(SetLink),
    /// Has the guest tell the network of an interface where it is.
    Announce(Announce),
    /// Changes what a device, or a group of them, may do.
    SetThrottle(SetThrottle),
    /// Sets what the guest shall give up.
    SetBalloon(SetBalloon),
    /// Asks for the balloon, and the guest for how it is off for memory.
    Balloon,
    /// Asks the guest for all that nothing in it uses, for the host to have back.
    ReclaimMemory,
}

/// What `refreshDisk` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefreshDisk {
    /// The id of the disk.
    pub disk: DiskId,
}

/// What `growDisk` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrowDisk {
    /// The id of the disk.
    pub disk: DiskId,
    /// How large it shall be, in bytes.
    pub size: u64,
}

impl Call {
    /// Reads a call from method and parameters.
    pub fn parse(method: &str, params: Value) -> Result<Self, Failure> {
        let call = match method {
            "configure" => {
                return Configure::parse(params).map(|configure| Self::Configure(Box::new(configure)));
            }
            "refreshDisk" => return parameters(params).map(Self::RefreshDisk),
            "growDisk" => return parameters(params).map(Self::GrowDisk),
            "setLink" => return parameters(params).map(Self::SetLink),
            "announce" => return parameters(params).map(Self::Announce),
            "setThrottle" => return SetThrottle::parse(params).map(Self::SetThrottle),
            "setBalloon" => return parameters(params).map(Self::SetBalloon),
            "boot" => Self::Boot,
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            "powerButton" => Self::PowerButton,
            "reset" => Self::Reset,
            "stop" => Self::Stop,
            "info" => Self::Info,
            "metrics" => Self::Metrics,
            "balloon" => Self::Balloon,
            "reclaimMemory" => Self::ReclaimMemory,
            other => return Err(protocol(format!("Method {:?} is unknown", short(other)))),
        };
        match params {
            Value::Null => Ok(call),
            Value::Object(fields) if fields.is_empty() => Ok(call),
            _ => Err(protocol(format!("Method {method} takes no parameters"))),
        }
    }

    /// Whether descriptors may ride along.
    pub fn takes_descriptors(&self) -> bool {
        matches!(self, Self::Configure(_))
    }
}

fn parameters<T: DeserializeOwned>(params: Value) -> Result<T, Failure> {
    serde_json::from_value(params)
        .map_err(|error| protocol(format!("Parameters do not fit: {}", short(&error.to_string()))))
}

/// Text of a peer, cut so that it cannot fill a log.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(200).collect()
}
