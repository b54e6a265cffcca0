// SPDX-License-Identifier: Apache-2.0
//! What became of each step.

use std::fmt;

/// A wall of the jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Descriptors nobody asked to keep are closed.
    Descriptors,
    /// No core dumps, few descriptors.
    Limits,
    /// Nothing that is executed gains privileges.
    NoNewPrivileges,
    /// Mounts, network, IPC and host name of its own.
    Namespaces,
    /// The file system is empty and read-only.
    EmptyRoot,
    /// An unprivileged user.
    User,
    /// No access by path and no TCP, by Landlock.
    Landlock,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It stands.
    Applied,
    /// Part of it stands; what is missing.
    Partial(String),
    /// It does not stand; why.
    Skipped(String),
}

/// What became of each step, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    steps: Vec<(Step, Outcome)>,
}

impl Report {
    pub(crate) fn add(&mut self, step: Step, outcome: Outcome) {
        if outcome != Outcome::Applied {
            tracing::warn!(?step, ?outcome, "jail is weaker than it could be");
        }
        self.steps.push((step, outcome));
    }

    /// What became of one step; `None` if it was not reached.
    pub fn outcome(&self, step: Step) -> Option<&Outcome> {
        self.steps.iter().find(|(known, _)| *known == step).map(|(_, outcome)| outcome)
    }

    /// The steps that are not wholly applied.
    pub fn degraded(&self) -> impl Iterator<Item = &(Step, Outcome)> {
        self.steps.iter().filter(|(_, outcome)| *outcome != Outcome::Applied)
    }

    /// Whether every step is applied.
    pub fn is_complete(&self) -> bool {
        self.degraded().next().is_none()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (step, outcome)) in self.steps.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            match outcome {
                Outcome::Applied => write!(f, "{separator}{step:?}: applied")?,
                Outcome::Partial(missing) => write!(f, "{separator}{step:?}: in part, {missing}")?,
                Outcome::Skipped(why) => write!(f, "{separator}{step:?}: not applied, {why}")?,
            }
        }
        Ok(())
    }
}
