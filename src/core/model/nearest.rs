//! Which of some names somebody probably meant who wrote another one.
//!
//! Owns the distance between names. It must not decide anything: what it finds stands in a message and nowhere else.

/// Longest name that is compared, in characters. What is longer is no slip of the pen.
const LONGEST: usize = 64;

/// The name that is closest to what was written; none when no name is close. Of two that are as close, the first.
pub fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    all_near(written, names).first().map(|(_, name)| *name)
}

/// At most `most` names that are close to what was written, the closest first.
pub fn several<'a>(written: &str, names: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<String> {
    all_near(written, names).into_iter().take(most).map(|(_, name)| name.to_owned()).collect()
}

/// Every close name after the letters that are left out, added, changed or swapped with their neighbour.
fn all_near<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<(usize, &'a str)> {
    let (written, letters) = (written.to_lowercase(), written.chars().count());
    if letters > LONGEST {
        return Vec::new();
    }
    let slips = |name: &str| {
        let longer = name.chars().count().max(letters);
        let slips = (longer <= LONGEST).then(|| strsim::osa_distance(&written, &name.to_lowercase()))?;
        (slips <= longer.div_ceil(3) && slips < longer).then_some(slips)
    };
    let mut near: Vec<_> = names.into_iter().filter_map(|name| Some((slips(name)?, name))).collect();
    near.sort_by_key(|(slips, _)| *slips);
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_found_and_another_word_is_not() {
        const NAMES: [&str; 5] = ["reason", "role", "roleKind", "ticket", "Low"];
        for (written, meant) in [
            ("reson", Some("reason")),
            ("raeson", Some("reason")),
            ("rolekind", Some("roleKind")),
            ("ticket_id", Some("ticket")),
            ("low", Some("Low")),
            ("tickte", Some("ticket")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, NAMES), meant, "{written}");
        }
        assert_eq!(nearest(&"reason".repeat(1000), NAMES), None);
    }

    #[test]
    fn several_come_in_the_order_of_their_slips() {
        let all = ["bank", "shop-edit", "payments-view", "shop-edit-2"];
        assert_eq!(several("shop-edit2", all, 9), ["shop-edit", "shop-edit-2"]);
        assert_eq!(several("shop-edit2", all, 1), ["shop-edit"]);
        assert_eq!(several("catalogue", all, 9), Vec::<String>::new());
    }
}
