//! What an expression names. The labels that it asks for and the patterns that it holds texts against must be written out in
//! it. So only those labels are looked up, however many there are; patterns are read once, with the
//! policy; and nobody who asks for access can bring a pattern along.

use std::collections::{BTreeMap, BTreeSet};

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators};
use regex::{Regex, RegexBuilder};

use super::fault::ExpressionFault;
use super::first_line;

/// How much a regular expression may take once it is compiled, in bytes.
const LARGEST: usize = 1 << 16;

/// What an expression names.
#[derive(Default)]
pub struct Parts {
    pub labels: BTreeSet<String>,
    /// Patterns as written and as read.
    pub patterns: BTreeMap<String, Regex>,
    /// Keys of `requester.extra`, those that are written out.
    pub extra: BTreeSet<String>,
}

impl Parts {
    /// Finds them all.
    ///
    /// # Errors
    /// When one is not written out, or a pattern is none or too large.
    pub fn of(whole: &IdedExpr) -> Result<Self, ExpressionFault> {
        let mut parts = Self::default();
        let mut ahead = vec![whole];
        while let Some(IdedExpr { expr, .. }) = ahead.pop() {
            match expr {
                Expr::Call(call) => {
                    parts.add(call)?;
                    ahead.extend(call.target.as_deref().into_iter().chain(&call.args));
                }
                Expr::List(list) => ahead.extend(&list.elements),
                Expr::Map(map) => map.entries.iter().for_each(|entry| ahead.extend(of_entry(&entry.expr))),
                Expr::Struct(object) => object.entries.iter().for_each(|entry| ahead.extend(of_entry(&entry.expr))),
                Expr::Select(select) => {
                    parts.add_extra(&select.operand, Some(&select.field));
                    ahead.push(&select.operand);
                }
                Expr::Comprehension(_) => return Err(ExpressionFault::Loop),
                Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
            }
        }
        Ok(parts)
    }

    fn add(&mut self, call: &CallExpr) -> Result<(), ExpressionFault> {
        let alone = call.target.is_none() && call.args.len() == 1;
        match (call.func_name.as_str(), call.args.last().and_then(written)) {
            ("label", Some(key)) if alone => drop(self.labels.insert(key.to_owned())),
            ("label", _) => return Err(ExpressionFault::LabelNotWritten),
            ("matches", Some(pattern)) => self.add_pattern(pattern)?,
            ("matches", None) => return Err(ExpressionFault::PatternNotWritten),
            _ => {}
        }
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT, [of, key])
            | (operators::IN, [key, of]) => {
                self.add_extra(of, written(key));
            }
            _ => {}
        }
        Ok(())
    }

    fn add_extra(&mut self, of: &IdedExpr, key: Option<&str>) {
        let Expr::Select(select) = &of.expr else { return };
        let is_extra =
            select.field == "extra" && matches!(&select.operand.expr, Expr::Ident(name) if name == "requester");
        self.extra.extend(key.filter(|_| is_extra).map(str::to_owned));
    }

    fn add_pattern(&mut self, pattern: &str) -> Result<(), ExpressionFault> {
        if self.patterns.contains_key(pattern) {
            return Ok(());
        }
        let regex = RegexBuilder::new(pattern).size_limit(LARGEST).dfa_size_limit(LARGEST).nest_limit(16).build();
        let regex = regex.map_err(|error| {
            // The last line says what is wrong; those before show where.
            let why = error.to_string();
            ExpressionFault::NoPattern(first_line(why.lines().last().unwrap_or_default()))
        })?;
        self.patterns.insert(pattern.to_owned(), regex);
        Ok(())
    }
}

fn written(argument: &IdedExpr) -> Option<&str> {
    match &argument.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn of_entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}
