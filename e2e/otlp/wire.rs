//! Reads what an OTLP exporter sends, from its bytes and the numbers of the published protocol: no code is shared with
//! the exporter. (opentelemetry-proto, trace/v1/trace.proto and logs/v1/logs.proto; protobuf.dev, "Encoding".)

use std::collections::BTreeMap;

/// One `ExportTraceServiceRequest`.
#[derive(Debug, Default)]
pub struct Export {
    pub resource: BTreeMap<String, String>,
    pub spans: Vec<Span>,
}

#[derive(Debug, Default)]
pub struct Span {
    pub trace: Vec<u8>,
    pub id: Vec<u8>,
    pub parent: Vec<u8>,
    pub name: String,
    /// Nanoseconds since 1970.
    pub begins: u64,
    pub ends: u64,
    pub attributes: BTreeMap<String, String>,
}

impl Span {
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.attributes.get(key).is_some_and(|found| found == value)
    }

    /// Whether its parent, in the same trace, is such a span.
    pub fn is_child_of_one(&self, spans: &[Span], which: impl Fn(&&Span) -> bool) -> bool {
        spans.iter().filter(which).any(|parent| self.parent == parent.id && self.trace == parent.trace)
    }
}

/// A log record.
#[derive(Debug, Default)]
pub struct Log {
    /// Nanoseconds since 1970.
    pub at: u64,
    pub event: String,
    pub body: String,
    pub attributes: BTreeMap<String, String>,
}

/// Reads an `ExportLogsServiceRequest`.
pub fn logs(body: &[u8]) -> Vec<Log> {
    let of_resources = all(body, 1).into_iter().flat_map(|of_resource| all(of_resource.bytes(), 2));
    of_resources.flat_map(|scope| all(scope.bytes(), 2)).map(|message| log(message.bytes())).collect()
}

fn log(message: &[u8]) -> Log {
    let mut log = Log::default();
    for (number, value) in fields(message) {
        match number {
            1 => log.at = value.number(),
            // An AnyValue, whose first kind is a string.
            5 => log.body = all(value.bytes(), 1)[0].text(),
            6 => log.attributes.extend([attribute(value.bytes())]),
            12 => log.event = value.text(),
            _ => {}
        }
    }
    log
}

/// The value of a field.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(number) => panic!("{number} is no message"),
        }
    }

    fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Bytes(bytes) => panic!("{bytes:?} is no number"),
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).expect("UTF-8")
    }
}

/// Reads an export.
pub fn read(body: &[u8]) -> Export {
    let mut export = Export::default();
    for of_resource in all(body, 1) {
        for resource in all(of_resource.bytes(), 1) {
            export.resource.extend(all(resource.bytes(), 1).iter().map(|pair| attribute(pair.bytes())));
        }
        for scope in all(of_resource.bytes(), 2) {
            export.spans.extend(all(scope.bytes(), 2).iter().map(|s| span(s.bytes())));
        }
    }
    export
}

fn span(message: &[u8]) -> Span {
    let mut span = Span::default();
    for (number, value) in fields(message) {
        match number {
            1 => span.trace = value.bytes().to_vec(),
            2 => span.id = value.bytes().to_vec(),
            4 => span.parent = value.bytes().to_vec(),
            5 => span.name = value.text(),
            7 => span.begins = value.number(),
            8 => span.ends = value.number(),
            9 => span.attributes.extend([attribute(value.bytes())]),
            11 => panic!("a span has an event"),
            _ => {}
        }
    }
    span
}

/// A key and its value, as text.
fn attribute(message: &[u8]) -> (String, String) {
    let key = all(message, 1).first().expect("a key").text();
    let mut text = String::new();
    for value in all(message, 2) {
        for (number, value) in fields(value.bytes()) {
            text = match number {
                1 => value.text(),
                2 | 3 => value.number().to_string(),
                other => panic!("{key} has a value of kind {other}"),
            };
        }
    }
    (key, text)
}

fn all(message: &[u8], wanted: u64) -> Vec<Value<'_>> {
    fields(message).into_iter().filter(|(number, _)| *number == wanted).map(|(_, value)| value).collect()
}

fn fields(mut rest: &[u8]) -> Vec<(u64, Value<'_>)> {
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut rest)),
            1 => Value::Number(u64::from_le_bytes(take(&mut rest, 8).try_into().expect("eight bytes"))),
            2 => {
                let length = usize::try_from(varint(&mut rest)).expect("a length");
                Value::Bytes(take(&mut rest, length))
            }
            5 => Value::Number(u32::from_le_bytes(take(&mut rest, 4).try_into().expect("four bytes")).into()),
            other => panic!("no wire type {other}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut number = 0;
    for place in 0.. {
        let byte = take(rest, 1)[0];
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            break;
        }
    }
    number
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(length);
    *rest = left;
    taken
}
