// SPDX-License-Identifier: Apache-2.0
//! What each queue is for (virtio 1.2 §5.5.2).

use std::collections::BTreeMap;

use flotilla_device_model::virtio::ActivateError;

use super::features::{
    VIRTIO_BALLOON_F_FREE_PAGE_HINT, VIRTIO_BALLOON_F_PAGE_REPORTING, VIRTIO_BALLOON_F_STATS_VQ,
};
use super::service::Role;

const INFLATEQ: u16 = 0;
const DEFLATEQ: u16 = 1;
/// The queues that come with a feature, where the specification has them.
const OPTIONAL: [(u16, u64, Role); 3] = [
    (2, VIRTIO_BALLOON_F_STATS_VQ, Role::Statistics),
    (3, VIRTIO_BALLOON_F_FREE_PAGE_HINT, Role::Hints),
    (4, VIRTIO_BALLOON_F_PAGE_REPORTING, Role::Reporting),
];

/// The roles of the queues that a driver with `features` uses, which are `used` in order. Drivers do not agree on where a queue
/// is when one before it is not used: some keep its place, as the specification has it, others close up.
pub(super) fn roles(used: &[u16], features: u64) -> Result<BTreeMap<u16, Role>, ActivateError> {
    for index in [INFLATEQ, DEFLATEQ] {
        if !used.contains(&index) {
            return Err(ActivateError::QueueMissing { index });
        }
    }
    let mut roles = BTreeMap::from([(INFLATEQ, Role::Inflate), (DEFLATEQ, Role::Deflate)]);
    let agreed = OPTIONAL.iter().filter(|(_, feature, _)| features & feature != 0);
    if agreed.clone().all(|(place, ..)| used.contains(place)) {
        roles.extend(agreed.map(|(place, _, role)| (*place, *role)));
    } else {
        let others = used.iter().filter(|index| **index > DEFLATEQ);
        roles.extend(others.zip(agreed).map(|(index, (.., role))| (*index, *role)));
    }
    Ok(roles)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = VIRTIO_BALLOON_F_STATS_VQ;
    const H: u64 = VIRTIO_BALLOON_F_FREE_PAGE_HINT;
    const R: u64 = VIRTIO_BALLOON_F_PAGE_REPORTING;

    fn optional(used: &[u16], features: u64) -> Vec<(u16, Role)> {
        let all = [&[INFLATEQ, DEFLATEQ], used].concat();
        roles(&all, features).unwrap().into_iter().filter(|(index, _)| *index > DEFLATEQ).collect()
    }

    #[test]
    fn a_queue_is_in_its_place_or_closes_up() {
        use Role::{Hints, Reporting, Statistics};
        for (used, features, expected) in [
            (&[2, 3, 4][..], S | H | R, vec![(2, Statistics), (3, Hints), (4, Reporting)]),
            (&[2, 4], S | R, vec![(2, Statistics), (4, Reporting)]),
            (&[2, 3], S | R, vec![(2, Statistics), (3, Reporting)]),
            (&[2], R, vec![(2, Reporting)]),
            (&[2, 3], H | R, vec![(2, Hints), (3, Reporting)]),
            (&[3, 4], H | R, vec![(3, Hints), (4, Reporting)]),
            (&[2, 3], S | H, vec![(2, Statistics), (3, Hints)]),
            (&[2, 3, 4], S, vec![(2, Statistics)]),
            (&[], S | H, vec![]),
            (&[2, 3, 4], 0, vec![]),
        ] {
            assert_eq!(optional(used, features), expected, "{used:?} {features:#x}");
        }
    }

    #[test]
    fn nothing_goes_without_the_first_two() {
        for used in [&[][..], &[0, 2], &[1, 2]] {
            assert!(matches!(roles(used, S), Err(ActivateError::QueueMissing { .. })), "{used:?}");
        }
    }
}
