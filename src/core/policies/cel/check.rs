//! The check of an expression before it is ever evaluated: whether there is what it names, whether its operators and
//! functions can be applied to what they are applied to, and whether a word that it compares with can ever be there.
//!
//! It refuses what is certainly wrong, and says nothing of values of which nothing is known. It must not evaluate. It
//! recurses as deep as the expression, which is bounded before it is parsed.

mod words;

use std::collections::BTreeMap;

use cel::Program;
use cel::common::ast::{
    CallExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, ListExpr, LiteralValue, MapExpr, operators,
};

use self::words::{Place, Problem, spelled};
use super::facts::Object;
use super::functions::Function;
use super::types::{Sort, Texts, Type};

/// How many faults of one expression are told. Whoever mends these sees the others.
const MOST: usize = 5;

/// Everything that is wrong with an expression, in the order in which it stands there; each with its place.
pub fn faults(source: &str, program: &Program) -> Vec<String> {
    let letters: Vec<char> = source.chars().collect();
    let mut check = Check { letters: &letters, program, found: Vec::new() };
    let whole = program.expression();
    let result = check.type_of(whole);
    if !result.may_be(Sort::Bool) {
        check.fault(Place::Whole, Problem::NoCondition(result));
    }
    check.found.sort();
    check.found.dedup();
    check.found.into_iter().take(MOST).map(|(_, problem_text)| problem_text).collect()
}

struct Check<'a> {
    letters: &'a [char],
    program: &'a Program,
    /// Faults by their place.
    found: Vec<(usize, String)>,
}

impl Check<'_> {
    fn fault(&mut self, place: Place<'_>, problem: Problem<'_>) -> Type {
        let at = place.offset(self.letters, self.program.source_info());
        let problem_text = match at {
            Some(at) => format!("{}: {problem}", words::position(self.letters, at)),
            None => problem.to_string(),
        };
        self.found.push((at.unwrap_or_default(), problem_text));
        Type::Any
    }

    fn type_of(&mut self, whole: &IdedExpr) -> Type {
        match &whole.expr {
            Expr::Literal(literal) => self.literal(whole, literal),
            Expr::Ident(name) => match Object::of(name) {
                Some(object) => Type::Object(object),
                None => self.fault(Place::Of(whole), Problem::NoVariable(name)),
            },
            Expr::Select(select) => {
                let operand = self.type_of(&select.operand);
                self.field(whole, &select.operand, operand, &select.field)
            }
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Call(call) => self.call(whole, call),
            Expr::Struct(made) => self.fault(Place::Of(whole), Problem::Made(&made.type_name)),
            Expr::Comprehension(_) | Expr::Unspecified => self.fault(Place::Of(whole), Problem::Missing),
        }
    }

    fn literal(&self, whole: &IdedExpr, literal: &LiteralValue) -> Type {
        match literal {
            LiteralValue::Boolean(_) => Type::Bool,
            LiteralValue::Bytes(_) => Type::Bytes,
            LiteralValue::Double(_) => Type::Double,
            LiteralValue::Int(_) => Type::Int,
            LiteralValue::UInt(_) => Type::Uint,
            LiteralValue::Null => Type::Null,
            LiteralValue::String(text) => {
                let at = Place::Of(whole).offset(self.letters, self.program.source_info());
                Type::Text(Texts::Written(vec![(text.inner().to_owned(), at.unwrap_or_default())]))
            }
        }
    }

    fn list(&mut self, list: &ListExpr) -> Type {
        let mut of: Option<Type> = None;
        for (index, element) in list.elements.iter().enumerate() {
            let one = match self.type_of(element) {
                Type::Optional(inner) if list.optional_indices.contains(&index) => *inner,
                one => one,
            };
            of = Some(match of {
                None => one,
                Some(others) => others.or(one),
            });
        }
        Type::list(of.unwrap_or(Type::Any))
    }

    fn map(&mut self, map: &MapExpr) -> Type {
        let mut keys = Some(BTreeMap::new());
        for IdedEntryExpr { expr, .. } in &map.entries {
            let EntryExpr::MapEntry(entry) = expr else { continue };
            let key = self.type_of(&entry.key);
            self.key(&entry.key, &key);
            let value = self.type_of(&entry.value);
            match (written(&entry.key), &mut keys) {
                (Some(key), Some(known)) if !entry.optional => drop(known.insert(key.to_owned(), value)),
                _ => keys = None,
            }
        }
        Type::Map(keys)
    }

    /// The field of a value, named by `whole`.
    fn field(&mut self, whole: &IdedExpr, operand: &IdedExpr, of: Type, name: &str) -> Type {
        match of {
            Type::Any | Type::Map(None) => Type::Any,
            Type::Object(object) => match object.field(name) {
                Some(field) => Type::from(&field.is),
                None => self.fault(Place::Name(whole, name), Problem::NoField { object, name }),
            },
            Type::Map(Some(mut keys)) => match keys.remove(name) {
                Some(value) => value,
                None => self.fault(Place::Name(whole, name), Problem::NoKey(name)),
            },
            Type::MapOf(of) => *of,
            Type::Optional(inner) => self.field(whole, operand, *inner, name).optional(),
            of => {
                let what = spelled(operand);
                self.fault(Place::Name(whole, name), Problem::HasNoFields { what, of, name })
            }
        }
    }

    fn call(&mut self, whole: &IdedExpr, call: &CallExpr) -> Type {
        let operator = call.func_name.as_str();
        if call.target.is_some() {
            return self.function(whole, call);
        }
        match (operator, call.args.as_slice()) {
            (operators::CONDITIONAL, [when, then, otherwise]) => {
                self.must_be_bool(whole, operator, when);
                let then = self.type_of(then);
                then.or(self.type_of(otherwise))
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [one, other]) => {
                self.must_be_bool(whole, operator, one);
                self.must_be_bool(whole, operator, other);
                Type::Bool
            }
            (operators::LOGICAL_NOT, [one]) => {
                self.must_be_bool(whole, operator, one);
                Type::Bool
            }
            (operators::NOT_STRICTLY_FALSE, [one]) => {
                drop(self.type_of(one));
                Type::Bool
            }
            (operators::NEGATE, [one]) => match self.type_of(one) {
                negated @ (Type::Any | Type::Int | Type::Double) => negated,
                of => self.fault(Place::Of(whole), Problem::NotFor { operator, of }),
            },
            (operators::EQUALS | operators::NOT_EQUALS, [one, other]) => self.equality(whole, operator, one, other),
            (operators::IN, [one, many]) => self.membership(whole, one, many),
            (
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS,
                [one, other],
            ) => self.order(whole, operator, one, other),
            (
                operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO,
                [one, other],
            ) => self.arithmetic(whole, operator, one, other),
            (operators::INDEX, [of, index]) => self.index(whole, of, index),
            (operators::OPT_INDEX, [of, index]) => self.index(whole, of, index).optional(),
            (operators::OPT_SELECT, [of, name]) => {
                let operand = self.type_of(of);
                let name = written(name).unwrap_or_default();
                self.field(whole, of, operand, name).optional()
            }
            _ => self.function(whole, call),
        }
    }

    fn must_be_bool(&mut self, whole: &IdedExpr, operator: &str, operand: &IdedExpr) {
        let of = self.type_of(operand);
        if !of.may_be(Sort::Bool) {
            self.fault(Place::Of(whole), Problem::NotFor { operator, of });
        }
    }

    fn equality(&mut self, whole: &IdedExpr, operator: &str, one: &IdedExpr, other: &IdedExpr) -> Type {
        let (left, right) = (self.type_of(one), self.type_of(other));
        if left.can_equal(&right) {
            self.in_common(whole, one, &left, &right);
            self.words(one, &left, &right);
            self.words(other, &right, &left);
        } else {
            self.fault(Place::Of(whole), Problem::NeverEqual { operator, left, right });
        }
        Type::Bool
    }

    fn membership(&mut self, whole: &IdedExpr, one: &IdedExpr, many: &IdedExpr) -> Type {
        let (left, right) = (self.type_of(one), self.type_of(many));
        match &right {
            Type::List(of) if left.can_equal(of) => {
                self.in_common(whole, one, &left, of);
                self.words(one, &left, of);
                self.words(many, of, &left);
            }
            Type::List(of) => {
                let right = (**of).clone();
                self.fault(Place::Of(whole), Problem::NeverIn { left, right });
            }
            Type::Object(object) => {
                let Type::Text(words) = &left else {
                    self.key(whole, &left);
                    return Type::Bool;
                };
                if let Texts::Written(words) = words {
                    for (name, at) in words.iter().filter(|(name, _)| object.field(name).is_none()) {
                        self.fault(Place::At(*at), Problem::NoField { object, name });
                    }
                }
            }
            Type::Map(_) | Type::MapOf(_) => self.key(whole, &left),
            Type::Any => {}
            _ => drop(self.fault(Place::Of(whole), Problem::NoList(right))),
        }
        Type::Bool
    }

    /// What is looked up in a map.
    fn key(&mut self, whole: &IdedExpr, key: &Type) {
        let fits = key.sort().is_none_or(|sort| sort.is_number() || matches!(sort, Sort::Text | Sort::Bool));
        if !fits {
            self.fault(Place::Of(whole), Problem::NoKeyType(key.clone()));
        }
    }

    /// Words that are written, held against those that there can be.
    fn words(&mut self, of: &IdedExpr, can_be: &Type, held: &Type) {
        match (can_be, held) {
            (Type::Text(Texts::OneOf(there)), Type::Text(Texts::Written(written))) => {
                for (word, at) in written.iter().filter(|(word, _)| !there.contains(&word.as_str())) {
                    self.fault(Place::At(*at), Problem::NoWord { what: spelled(of), word, there });
                }
            }
            (Type::List(there), Type::List(held)) => self.words(of, there, held),
            _ => {}
        }
    }

    /// Two values with words of their own, held against each other.
    fn in_common(&mut self, whole: &IdedExpr, one: &IdedExpr, left: &Type, right: &Type) {
        if let (Type::Text(Texts::OneOf(there)), Type::Text(Texts::OneOf(others))) = (left, right)
            && !there.iter().any(|word| others.contains(word))
        {
            self.fault(Place::Of(whole), Problem::NoWordInCommon { what: spelled(one), there });
        }
    }

    fn order(&mut self, whole: &IdedExpr, operator: &str, one: &IdedExpr, other: &IdedExpr) -> Type {
        let (left, right) = (self.type_of(one), self.type_of(other));
        for (side, of) in [(one, &left), (other, &right)] {
            if let Type::Text(Texts::OneOf(there)) = of {
                self.fault(Place::Of(whole), Problem::NoOrder { what: spelled(side), operator, there });
                return Type::Bool;
            }
        }
        let ordered = |of: &Type| {
            of.sort().is_none_or(|sort| sort.is_number() || matches!(sort, Sort::Text | Sort::Bytes | Sort::Bool))
        };
        if let Some(of) = [&left, &right].into_iter().find(|of| !ordered(of)) {
            self.fault(Place::Of(whole), Problem::NotFor { operator, of: of.clone() });
        } else if !left.can_equal(&right) {
            self.fault(Place::Of(whole), Problem::Different { operator, left, right });
        }
        Type::Bool
    }

    fn arithmetic(&mut self, whole: &IdedExpr, operator: &str, one: &IdedExpr, other: &IdedExpr) -> Type {
        let (left, right) = (self.type_of(one), self.type_of(other));
        let takes = |of: &Type| {
            of.sort().is_none_or(|sort| match sort {
                Sort::Int | Sort::Uint => true,
                Sort::Double => operator != operators::MODULO,
                Sort::Text | Sort::Bytes | Sort::List => operator == operators::ADD,
                _ => false,
            })
        };
        // The interpreter adds the keys of a map to a list.
        if operator == operators::ADD && matches!(left, Type::List(_)) && right.sort() == Some(Sort::Map) {
            return Type::list(Type::Any);
        }
        if let Some(of) = [&left, &right].into_iter().find(|of| !takes(of)) {
            return self.fault(Place::Of(whole), Problem::NotFor { operator, of: of.clone() });
        }
        match (left.sort(), right.sort()) {
            (Some(one), Some(other)) if one != other => {
                self.fault(Place::Of(whole), Problem::Different { operator, left, right })
            }
            (Some(Sort::Text), Some(_)) => Type::TEXT,
            (Some(_), Some(_)) => left.or(right),
            _ => Type::Any,
        }
    }

    fn index(&mut self, whole: &IdedExpr, of: &IdedExpr, index: &IdedExpr) -> Type {
        let (operand, by) = (self.type_of(of), self.type_of(index));
        self.indexed(whole, (of, operand), (index, &by))
    }

    fn indexed(&mut self, whole: &IdedExpr, of: (&IdedExpr, Type), by: (&IdedExpr, &Type)) -> Type {
        let (operand, of) = of;
        match of {
            Type::Any => Type::Any,
            Type::Optional(inner) => self.indexed(whole, (operand, *inner), by).optional(),
            Type::List(of) if by.1.sort().is_none_or(Sort::is_number) => *of,
            Type::List(_) => self.fault(Place::Of(whole), Problem::NoIndex(by.1.clone())),
            Type::Map(None) => {
                self.key(whole, by.1);
                Type::Any
            }
            Type::MapOf(of) if by.1.may_be(Sort::Text) => *of,
            Type::MapOf(_) => self.fault(Place::Of(whole), Problem::NoKeyType(by.1.clone())),
            Type::Object(_) | Type::Map(Some(_)) => match (written(by.0), by.1.sort()) {
                (Some(name), _) => self.field(by.0, operand, of, name),
                (None, None | Some(Sort::Text)) => Type::Any,
                (None, Some(_)) => self.fault(Place::Of(whole), Problem::NoKeyType(by.1.clone())),
            },
            of => {
                let what = spelled(operand);
                self.fault(Place::Of(whole), Problem::NoParts { what, of })
            }
        }
    }

    fn function(&mut self, whole: &IdedExpr, call: &CallExpr) -> Type {
        let name = call.func_name.as_str();
        let Some(function) = Function::of(name) else {
            // What a loop names has no meaning outside of it.
            if !words::is_macro(name) {
                call.target.as_deref().into_iter().chain(&call.args).for_each(|part| drop(self.type_of(part)));
            }
            return self.fault(Place::Call(whole, name), Problem::NoFunction(name));
        };
        let parts: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let given: Vec<Type> = parts.iter().map(|part| self.type_of(part)).collect();
        if !function.is_called(call.target.is_some()) || given.len() != function.takes.len() {
            return self.fault(Place::Call(whole, name), Problem::Miscalled(function));
        }
        let wrong = given
            .iter()
            .zip(function.takes)
            .position(|(given, takes)| !takes.is_empty() && given.sort().is_some_and(|sort| !takes.contains(&sort)));
        if let Some(index) = wrong {
            let (what, of) = (parts.get(index).and_then(|part| spelled(part)), given[index].clone());
            return self.fault(Place::Call(whole, name), Problem::WrongArgument { function, what, of });
        }
        self.part_of_a_word(name, &parts, &given);
        function.result(given)
    }

    /// A part that none of the words has.
    fn part_of_a_word(&mut self, function: &str, parts: &[&IdedExpr], given: &[Type]) {
        let ([what, _], [Type::Text(Texts::OneOf(there)), Type::Text(Texts::Written(written))]) = (parts, given) else {
            return;
        };
        for (part, at) in written {
            let has = |word: &&str| match function {
                "startsWith" => word.starts_with(part),
                "endsWith" => word.ends_with(part),
                "contains" => word.contains(part),
                // A pattern is no part of a word.
                _ => true,
            };
            if !there.iter().any(has) {
                self.fault(Place::At(*at), Problem::NoWord { what: spelled(what), word: part, there });
            }
        }
    }
}

/// A text that is written in the expression.
fn written(whole: &IdedExpr) -> Option<&str> {
    match &whole.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
