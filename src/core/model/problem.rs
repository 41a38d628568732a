//! What can be wrong in a field of a spec: each rule is a value, and its sentence names the way out.
//!
//! It must not say where a rule is checked, nor which field broke it.

use std::fmt;

use super::duration::BadDuration;

/// The rule that a field breaks. Shown, it names the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldProblem {
    /// The schema has the field for versions to come.
    NotServed,
    /// Somebody stored what cannot be decoded; the decoder's words.
    Undecodable(String),
    /// The text is no length of time, or one that nobody may name.
    Length(BadDuration),
    /// What is wrong in an expression, as its reader says it.
    Expression(String),
    Request(RequestProblem),
    Scope(ScopeProblem),
    Rule(RuleProblem),
    Time(TimeProblem),
    Policy(PolicyProblem),
}

/// What is wrong in a request as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestProblem {
    /// Its start lies further ahead than a year.
    StartsTooLate,
    /// The cluster did not write who asks.
    NotStamped,
    /// Who asks is not logged in.
    Anonymous,
    /// Break-glass access has a start or extends another grant.
    BreakGlassLater,
    /// An extension has a place or a start of its own.
    ExtensionElsewhere,
    /// It extends itself.
    ExtendsItself,
    /// Recurring access has a length, or is an extension or an emergency.
    RecurrenceAndMore,
    /// Recurring access has no window, or too many in all.
    Windows { there: usize, most: usize },
}

/// What is wrong in the place that somebody names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeProblem {
    /// A request names more than one kind of place.
    Several,
    /// A policy names none.
    None,
    /// A Role is asked for in the whole cluster.
    RoleInCluster,
    /// These namespaces do not exist, or are going.
    Missing(Vec<String>),
    /// No namespace has the labels.
    Unmatched,
    /// More namespaces have the labels than can be granted at once.
    TooMany { there: usize, most: usize },
    /// It is out of this installation's reach.
    OutOfReach { what: OutOfReach, served: Vec<String> },
}

/// What an installation that is limited to some namespaces does not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutOfReach {
    /// The namespace in which the request was made.
    Own(String),
    Cluster,
    /// Namespaces in which access is asked for.
    Namespaces(Vec<String>),
}

/// What is wrong in a rule by which a request narrows its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleProblem {
    /// It is for resources and URLs, or for neither.
    ResourcesOrUrls,
    NoVerb,
    NoGroup,
    /// URLs with API groups or names of objects.
    UrlsAndMore,
    /// A word in one of its lists, fit for a message, and what is wrong with it.
    Word {
        written: String,
        fault: WordFault,
    },
    /// So many single rights, more than are compared.
    TooMany {
        there: usize,
        most: usize,
    },
}

/// What is wrong with a word in a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordFault {
    Empty,
    TooLong,
    /// A `*` that Kubernetes takes for a letter.
    Star,
    Letter,
    UpperCase,
    /// `pods/*`.
    AllSubresources,
    /// `*` as the name of an object.
    AllNames,
    /// A URL that does not begin with a slash.
    NoSlash,
}

/// What is wrong in a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeProblem {
    /// There is no zone of that name.
    NoZone(String),
    /// The zone is written in other letters, upper or lower.
    ZoneCase {
        written: String,
        exact: String,
    },
    NoWindow,
    NoDay,
    /// A window begins at `24:00`.
    StartsAtEnd,
    /// A start is no time of day.
    Start(String),
    /// An end is no time of day.
    End(String),
}

/// What is wrong in a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyProblem {
    NoLongest,
    DefaultOverLongest,
    NoRequesters,
    NoRoles,
    /// It covers the cluster alone and lists Roles alone.
    OnlyRolesInCluster,
    /// It spares approvers, and names none.
    NobodyToSpare,
    /// It denies nothing, and says what it does to emergencies.
    OnBreakGlass,
    NoReviewers,
    /// It allows fewer or more extensions than one to this many.
    Extensions {
        most: usize,
    },
    /// It counts time by the day, and allows recurring access.
    RecurrenceAndCounted,
    /// A stage needs more people than can approve in it.
    StageImpossible,
    NoApprovers,
    /// A limit is below one.
    LimitBelowOne,
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotServed => f.write_str("not served by this version of Daypass: remove it"),
            Self::Undecodable(why) | Self::Expression(why) => f.write_str(why),
            Self::Length(bad) => write!(f, "{bad}"),
            Self::Request(problem) => write!(f, "{problem}"),
            Self::Scope(problem) => write!(f, "{problem}"),
            Self::Rule(problem) => write!(f, "{problem}"),
            Self::Time(problem) => write!(f, "{problem}"),
            Self::Policy(problem) => write!(f, "{problem}"),
        }
    }
}

impl fmt::Display for RequestProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartsTooLate => "must be within a year of the request",
            Self::NotStamped => {
                "the cluster did not stamp who asks: install Daypass's admission policies, then make the request again"
            }
            Self::Anonymous => "somebody who is not logged in cannot be given access",
            Self::BreakGlassLater => "begins at once and is not extended: leave spec.startTime and spec.extends out",
            Self::ExtensionElsewhere => {
                "holds where and from when on the running grant does: leave spec.scope and spec.startTime out"
            }
            Self::ExtendsItself => "a request cannot extend itself: name the running one",
            Self::RecurrenceAndMore => {
                "lasts as long as its windows, and is no extension and no emergency: leave spec.duration, \
                 spec.extends and spec.breakGlass out"
            }
            Self::Windows { there, most } => {
                return write!(f, "{there} windows in all; there must be at least one and at most {most}");
            }
        })
    }
}

impl fmt::Display for ScopeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Several => f.write_str("give one of namespaces, namespaceSelector and cluster"),
            Self::None => f.write_str("give at least one of namespaces, namespaceSelector and cluster"),
            Self::RoleInCluster => f.write_str("a Role cannot be bound in the whole cluster: ask for a ClusterRole"),
            Self::Missing(names) => write!(f, "no such namespace: {}", names.join(", ")),
            Self::Unmatched => f.write_str("no namespace has these labels"),
            Self::TooMany { there, most } => write!(
                f,
                "{there} namespaces have these labels, at most {most} can be granted at once: narrow it, or ask for \
                 the cluster"
            ),
            Self::OutOfReach { what, served } => write!(
                f,
                "{what}: ask for namespaces that this Daypass is limited to, or have who installs it change \
                 `watchNamespaces` of its chart; now it serves {}",
                served.join(", ")
            ),
        }
    }
}

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(name) => write!(f, "nobody answers a request in namespace {name}"),
            Self::Cluster => f.write_str("access to the whole cluster cannot be granted here"),
            Self::Namespaces(names) => write!(f, "namespace {} is not served", names.join(", ")),
        }
    }
}

impl fmt::Display for RuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ResourcesOrUrls => "a rule is for resources or for nonResourceURLs: give one of the two",
            Self::NoVerb => "give at least one verb: a rule without gives nothing",
            Self::NoGroup => "give at least one API group: \"\" is the core group",
            Self::UrlsAndMore => "URLs have no apiGroups and no resourceNames: remove these",
            Self::Word { written, fault } => return write!(f, "\"{written}\" {fault}"),
            Self::TooMany { there, most } => {
                return write!(f, "{there} single rights are wanted, at most {most} are compared: split the request");
            }
        })
    }
}

impl fmt::Display for WordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty: remove it",
            Self::TooLong => "is too long",
            Self::Star => "has a * where Kubernetes reads none: write it out",
            Self::Letter => "has a letter that does not belong there",
            Self::UpperCase => "must be in lower case",
            Self::AllSubresources => "asks for all subresources, which Kubernetes does not know: name them",
            Self::AllNames => "is one object of that name: leave resourceNames out for all objects",
            Self::NoSlash => "must begin with /",
        })
    }
}

impl fmt::Display for TimeProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoZone(name) => {
                write!(f, "{} is no time zone: give its IANA name, for example Europe/Berlin", quoted(name))
            }
            Self::ZoneCase { written, exact } => {
                write!(f, "{} is written {exact}: upper and lower case count", quoted(written))
            }
            Self::NoWindow => f.write_str("must list at least one window"),
            Self::NoDay => f.write_str("must name at least one day, for example Mon"),
            Self::StartsAtEnd => {
                f.write_str("24:00 is the end of a day: a window that begins then begins at 00:00 of the next")
            }
            Self::Start(text) => {
                write!(f, "{} is no time of day: write it as HH:MM, for example 09:00", quoted(text))
            }
            Self::End(text) => write!(
                f,
                "{} is no time of day: write it as HH:MM, for example 17:30, or 24:00 for the end of the day",
                quoted(text)
            ),
        }
    }
}

/// A text that somebody wrote, short enough to show.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

impl fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLongest => "a policy that allows must set it",
            Self::DefaultOverLongest => "must not be longer than spec.duration.max",
            Self::NoRequesters => "a policy that allows must name its requesters",
            Self::NoRoles => "a policy that allows must list its roles",
            Self::OnlyRolesInCluster => "only a ClusterRole can be bound in the whole cluster",
            Self::NobodyToSpare => "spares approvers, and there are none: add stages, or remove it",
            Self::OnBreakGlass => {
                "says what a policy that denies does to emergencies: remove it, or set spec.breakGlass"
            }
            Self::NoReviewers => "must name who reviews the access afterwards",
            Self::Extensions { most } => {
                return write!(f, "must be between 1 and {most}; to allow no extension leave spec.extension out");
            }
            Self::RecurrenceAndCounted => {
                "does not go together with limits.timePerDay and limits.cooldown: remove it, or have two policies"
            }
            Self::StageImpossible => {
                "cannot be complete: it needs more people than it names, and one person counts in one stage only"
            }
            Self::NoApprovers => "must have approvers, and require at least one of them",
            Self::LimitBelowOne => "must be at least 1; to allow nothing at all, remove the policy",
        })
    }
}

macro_rules! problems {
    ($($part:ident($type:ty),)*) => {
        $(impl From<$type> for FieldProblem {
            fn from(problem: $type) -> Self {
                Self::$part(problem)
            }
        })*
    };
}

problems! {
    Length(BadDuration),
    Request(RequestProblem),
    Scope(ScopeProblem),
    Rule(RuleProblem),
    Time(TimeProblem),
    Policy(PolicyProblem),
}
