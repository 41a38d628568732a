"""Derives a JSON Schema of the OCSF classes that records and findings are mapped to from the published facts of OCSF.

    git clone https://github.com/ocsf/ocsf-schema && python3 schema.py ocsf-schema 3dcb905d > schema-1.8.0.json

Every attribute that OCSF requires is required, every enum has its numbers, a label must be that of its number, and the
constraints between attributes hold. Trimmed to the attributes named in USED: any other is refused, so that one that is added
to the mapping is added here and looked up. It must not contain prose of OCSF.
"""

import json
import subprocess
import sys

CHECKOUT, COMMIT = sys.argv[1:3]
CLASSES = {"entity_management": "events/iam", "user_access": "events/iam", "iam_analysis_finding": "events/findings",
           "detection_finding": "events/findings"}
CLASSIFICATION = ["activity_id", "activity_name", "category_name", "category_uid", "class_name", "class_uid", "severity",
                  "severity_id", "status", "status_code", "status_detail", "status_id", "time", "type_name", "type_uid"]
EVERYWHERE = CLASSIFICATION + ["actor", "message", "metadata", "unmapped"]
FINDING = CLASSIFICATION + ["comment", "finding_info", "message", "metadata", "remediation", "resources", "unmapped"]
USED = {
    "iam_analysis_finding": FINDING + ["permission_analysis_results", "user"],
    "detection_finding": FINDING,
    "finding_info": ["desc", "title", "types", "uid"],
    "permission_analysis_result": ["granted_privileges", "policy"],
    "policy": ["name", "type"],
    "remediation": ["desc"],
    "entity_management": EVERYWHERE + ["comment", "entity"],
    "user_access": EVERYWHERE + ["privileges", "resources", "user"],
    "actor": ["app_name", "user"],
    "managed_entity": ["name", "type", "type_id", "uid"],
    "metadata": ["correlation_uid", "event_code", "log_name", "log_version", "original_time", "product", "sequence",
                 "tenant_uid", "uid", "version"],
    "product": ["name", "vendor_name"],
    "resource_details": ["name", "type", "uid"],
    "user": ["groups", "name", "uid"],
    "group": ["name"],
}


def read(path):
    text = subprocess.run(["git", "-C", CHECKOUT, "show", f"{COMMIT}:{path}"], capture_output=True, text=True, check=True)
    return json.loads(text.stdout)


def whole(path, folder):
    """A definition with what it inherits."""
    own = read(path)
    if own.get("extends") in (None, "object"):
        return own
    parent = own["extends"]
    base = whole({"iam": "events/iam/iam.json", "base_event": "events/base_event.json"}.get(parent, f"{folder}/{parent}.json"), folder)
    attributes = {name: dict(value) for name, value in base["attributes"].items() if isinstance(value, dict)}
    for name, value in own["attributes"].items():
        if isinstance(value, dict):
            former = attributes.get(name, {})
            enum = {**former.get("enum", {}), **value.get("enum", {})}
            attributes[name] = {**former, **value, **({"enum": enum} if enum else {})}
    return {**base, **own, "attributes": attributes, "constraints": own.get("constraints", base.get("constraints"))}


DICTIONARY = read("dictionary.json")
TYPES = DICTIONARY["types"]["attributes"]
CATEGORIES = read("categories.json")["attributes"]
definitions = {}


def of_type(name):
    if name == "object":
        return {"type": "object"}
    if name == "json_t":
        return {}
    basic = {"string_t": "string", "integer_t": "integer", "long_t": "integer", "boolean_t": "boolean", "timestamp_t": "integer"}
    if name in basic:
        return {"type": basic[name]}
    if name in TYPES:
        kind = TYPES[name]
        limits = {"maxLength": kind["max_len"]} if "max_len" in kind else {}
        return {**of_type(kind["type"]), **limits}
    if name not in definitions:
        definitions[name] = None
        definitions[name] = of_object(name, whole(f"objects/{name}.json", "objects"), {})
    return {"$ref": f"#/$defs/{name}"}


def of_object(name, definition, fixed):
    attributes, used = definition["attributes"], USED[name]
    required = sorted(key for key, value in attributes.items()
                      if isinstance(value, dict) and value.get("requirement") == "required" and not value.get("profile"))
    properties, labels = {}, []
    for key in sorted({*used, *required}):
        own, common = attributes[key], DICTIONARY["attributes"][key]
        if "@deprecated" in own or "@deprecated" in common:
            sys.exit(f"{name}.{key} is deprecated")
        schema = of_type(own.get("type", common["type"]))
        enum = fixed.get(key) or {**common.get("enum", {}), **own.get("enum", {})}
        if enum:
            schema = {**schema, "enum": sorted(int(number) for number in enum)}
            sibling = own.get("sibling", common.get("sibling"))
            for number, entry in sorted(enum.items(), key=lambda pair: int(pair[0])):
                if int(number) != 99 and sibling in used:
                    labels.append({"if": {"required": [key], "properties": {key: {"const": int(number)}}},
                                   "then": {"properties": {sibling: {"const": entry["caption"]}}}})
        properties[key] = {"type": "array", "items": schema} if common.get("is_array") else schema
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    constraints = definition.get("constraints") or {}
    if "at_least_one" in constraints:
        schema["anyOf"] = [{"required": [key]} for key in constraints["at_least_one"] if key in properties]
    if "just_one" in constraints:
        schema["oneOf"] = [{"required": [key]} for key in constraints["just_one"] if key in properties]
    return {**schema, **({"allOf": labels} if labels else {})}


def of_class(name, folder):
    definition = whole(f"{folder}/{name}.json", folder)
    category = CATEGORIES[definition["category"]]
    uid = category["uid"] * 1000 + definition["uid"]
    activities = {**DICTIONARY["attributes"]["activity_id"].get("enum", {}), **definition["attributes"]["activity_id"]["enum"]}
    fixed = {
        "category_uid": {str(category["uid"]): category},
        "class_uid": {str(uid): definition},
        # An activity and a class make a type.
        "type_uid": {str(uid * 100 + int(number)): {"caption": f"{definition['caption']}: {entry['caption']}"}
                     for number, entry in activities.items()},
    }
    schema = of_object(name, definition, fixed)
    for number in activities:
        schema["allOf"].append({"if": {"properties": {"activity_id": {"const": int(number)}}},
                                "then": {"properties": {"type_uid": {"const": uid * 100 + int(number)}}}})
    return uid, schema


classes = dict(of_class(name, folder) for name, folder in CLASSES.items())
version = read("version.json")["version"]
print(json.dumps({
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$comment": f"Derived by schema.py beside it from OCSF {version}, github.com/ocsf/ocsf-schema at {COMMIT} (Apache-2.0).",
    "type": "object",
    "required": ["class_uid", "metadata"],
    "properties": {"class_uid": {"enum": sorted(classes)},
                   "metadata": {"properties": {"version": {"const": version}}}},
    "allOf": [{"if": {"properties": {"class_uid": {"const": uid}}}, "then": {"$ref": f"#/$defs/{uid}"}} for uid in classes],
    "$defs": {**{str(uid): schema for uid, schema in classes.items()}, **dict(sorted(definitions.items()))},
}, indent=1))
