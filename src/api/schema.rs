//! Schemas of texts that have a form of their own, each with a message that says what to write instead.
//!
//! CEL rules rather than patterns: a pattern's refusal shows a regular expression and no way out.

use schemars::{Schema, SchemaGenerator, json_schema};

/// The GEP-2257 form, as a regular expression for the API server.
const DURATION: &str = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$";
/// Most keys of a login's extra that an installation records.
const MOST_EXTRA_KEYS: usize = 8;
/// Longest of them, in characters.
const LONGEST_EXTRA_KEY: usize = 253;
/// Most values of one of them.
const MOST_EXTRA_VALUES: usize = 16;
/// Longest value, in characters: an ARN of AWS has 512 at most in its path.
const LONGEST_EXTRA_VALUE: usize = 512;

const DNS_LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
const DNS_NAME: &str = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$";

fn text(max: usize, rule: &str, message: &str) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": max,
        "x-kubernetes-validations": [{ "rule": rule, "message": message }]
    })
}

fn list_of(max: usize, list_type: &str, item: Schema) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": max,
        "items": item,
        "x-kubernetes-list-type": list_type
    })
}

pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    text(
        32,
        &format!(
            "self.matches('{DURATION}') && duration(self) >= duration('1s') && duration(self) <= duration('720h')"
        ),
        "must be hours, minutes and seconds between 1s and 720h, for example 30m or 1h30m",
    )
}

pub(super) fn role_name(_: &mut SchemaGenerator) -> Schema {
    text(
        253,
        r"self.matches('^[^/%*\\s]+$') && self != '.' && self != '..'",
        "must be the exact name of a role: no wildcards, no spaces, no / or %",
    )
}

pub(super) fn dns_label(_: &mut SchemaGenerator) -> Schema {
    text(
        63,
        &format!("self.matches('{DNS_LABEL}')"),
        "must be lower-case letters, digits and -, for example team-leads",
    )
}

pub(super) fn object_name(_: &mut SchemaGenerator) -> Schema {
    text(
        253,
        &format!("self.matches('{DNS_NAME}')"),
        "must be the name of an object: lower-case letters, digits, - and .",
    )
}

pub(super) fn ticket(_: &mut SchemaGenerator) -> Schema {
    text(256, r"self.matches('^\\S+$')", "must be a ticket number or link, without spaces")
}

pub(super) fn reason(_: &mut SchemaGenerator) -> Schema {
    text(1024, "self.trim() != ''", "must say why access is needed")
}

pub(super) fn namespace_names(_: &mut SchemaGenerator) -> Schema {
    let name = text(
        63,
        &format!("self.matches('{DNS_LABEL}')"),
        "must be the name of a namespace; to ask for namespaces by label use namespaceSelector",
    );
    list_of(64, "set", name)
}

pub(super) fn namespace_globs(_: &mut SchemaGenerator) -> Schema {
    let glob = text(
        63,
        "self.matches('^[a-z0-9*]([-a-z0-9*]*[a-z0-9*])?$')",
        "must be the name of a namespace, in which * stands for any characters, for example team-*",
    );
    list_of(64, "set", glob)
}

pub(super) fn time_zone(_: &mut SchemaGenerator) -> Schema {
    text(64, r"self.matches('^[A-Za-z][A-Za-z0-9_+/-]*$')", "must be an IANA time zone, for example Europe/Berlin")
}

pub(super) fn start_of_window(_: &mut SchemaGenerator) -> Schema {
    text(5, "self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')", "must be a time of day as HH:MM, for example 09:00")
}

pub(super) fn end_of_window(_: &mut SchemaGenerator) -> Schema {
    text(
        5,
        "self.matches('^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$')",
        "must be a time of day as HH:MM, for example 17:30, or 24:00 for the end of the day",
    )
}

pub(super) fn label_values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": { "type": "string", "maxLength": 63 }
    })
}

pub(super) fn extra(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": MOST_EXTRA_KEYS,
        "additionalProperties": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_EXTRA_VALUES,
            "items": { "type": "string", "maxLength": LONGEST_EXTRA_VALUE }
        },
        "x-kubernetes-validations": [{
            "rule": format!("self.all(key, size(key) <= {LONGEST_EXTRA_KEY})"),
            "message": format!("a key may have {LONGEST_EXTRA_KEY} characters at most")
        }]
    })
}
