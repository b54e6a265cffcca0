// SPDX-License-Identifier: Apache-2.0
//! Holds what devices report against the one list of metrics, for their tests.

use flotilla_spec::metrics::Component;

/// Fails unless the values are those that are declared of the component: all of them, and no other.
#[track_caller]
pub fn assert_declared(component: &str, values: &[(&'static str, u64)]) {
    let differences = Component::named(component).unwrap().differences(values);
    assert_eq!(differences, Vec::<String>::new());
}
