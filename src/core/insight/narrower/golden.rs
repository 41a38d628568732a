//! The words of why there is no proposal, as people read them.

use super::evidence::{UnseenCalls, UsedRight};
use super::proposal::NoProposal;

#[test]
fn each_reason_names_the_way_out() {
    let grants: Vec<(String, UnseenCalls)> = (0..7)
        .map(|n| {
            let why = UnseenCalls::NotHeard("1 of 2 API servers were heard".to_owned());
            (format!("shop/fix-{n}"), if n == 0 { UnseenCalls::TooMany } else { why })
        })
        .collect();
    for (reason, words) in [
        (NoProposal::NoGrants, "it was not granted in this time: look further back with --since"),
        (
            NoProposal::Unseen(grants),
            "what was done is not known of shop/fix-0 (it was used in more ways than the archive keeps apart), \
             shop/fix-1 (1 of 2 API servers were heard), shop/fix-2 (1 of 2 API servers were heard), shop/fix-3 (1 of 2 \
             API servers were heard), shop/fix-4 (1 of 2 API servers were heard) and 2 grants more; rules may be too \
             narrow for it: begin later with --since, and see that all audit logs arrive",
        ),
        (
            NoProposal::FewGrants { used: 3, least: 10 },
            "3 grants were used, and at least 10 are asked for: wait, or give --min-grants",
        ),
        (
            NoProposal::ShortSpan { weeks: 1, least: 4 },
            "the grants span 1 weeks, and at least 4 are asked for: wait, or give --min-weeks",
        ),
        (NoProposal::NothingLeft, "the role has nothing any more of what was used: look at who changed it"),
        (NoProposal::NothingToTake, "all that the role has was used"),
    ] {
        assert_eq!(reason.to_string(), words);
    }
}

#[test]
fn a_right_is_written_as_kubectl_names_resources() {
    let right = |group: &str, resource: &str| UsedRight {
        group: group.to_owned(),
        resource: resource.to_owned(),
        verb: "patch".to_owned(),
    };
    assert_eq!(right("", "pods/log").to_string(), "patch pods/log");
    assert_eq!(right("apps", "deployments").to_string(), "patch deployments.apps");
}
