// SPDX-License-Identifier: Apache-2.0
//! Machines with a shared folder, whose back end is the test's own.

use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::ExitReason;
use flotilla_testing::vhost_user::FakeBackEnd;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use super::{Fixture, kvm_is_there, spec_of, valid};
use crate::Resources;

/// A machine with one folder, whose guest does nothing with it.
fn with_share(profile: &str) -> (Fixture, FakeBackEnd) {
    let (mut spec, directory) = spec_of("idle");
    spec.profile = serde_json::from_value(profile.into()).unwrap();
    let mut resources = Resources::open(&valid(spec.clone())).unwrap();
    let (back, socket) = FakeBackEnd::good();
    resources.shares.push(socket);
    spec.shares =
        serde_json::from_value(serde_json::json!([{ "tag": "data", "source": { "descriptor": 1 } }]))
            .unwrap();
    (Fixture::with(spec, resources, directory), back)
}

#[test]
fn a_machine_with_a_shared_folder_has_memory_that_can_be_shared_and_is_not_saved() {
    if !kvm_is_there() {
        return;
    }
    for profile in ["standard", "micro"] {
        let (fixture, _back) = with_share(profile);
        assert!(fixture.machine.memory().iter().all(|region| region.file_offset().is_some()));
        fixture.machine.boot().unwrap();
        fixture.machine.pause().unwrap();
        let error = fixture.machine.save().unwrap_err();
        assert_eq!(error.code(), ErrorCode::SpecInvalidValue);
        assert!(
            crate::describe(&error).contains("in a process of its own, which cannot save it"),
            "{error:?}"
        );
        assert_eq!(fixture.machine.metrics()["share:data.losses"], 0);
        fixture.machine.stop().unwrap();
        assert_eq!(fixture.wait().reason, ExitReason::Killed);
    }
}

#[test]
fn a_back_end_that_is_none_is_refused_with_its_field() {
    let (_back, socket) = FakeBackEnd::with(Box::new(|_, _| Some(vec![0; 20])));
    let fault = crate::resources::share_backend(socket, "$.shares[0].source").map(drop).unwrap_err();
    assert_eq!((fault.code, fault.path.as_str()), (ErrorCode::Io, "$.shares[0].source"));
}
