//! Why the page does not do what it was asked: a word for programs, and a sentence with the way out for people.
//!
//! It must not hold anything secret: all of it goes to whoever called.

use http::StatusCode;

/// Why a call gets no answer of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageRefusal {
    /// It can be read in two ways.
    #[error("this call can be read in two ways: give its length once, and not in chunks, and one host, over HTTP/1.1")]
    Framing,
    /// It was meant for another host, as a name that leads here would make it.
    #[error("this page is reached by its own address only, and this call was meant for another host")]
    OtherHost,
    /// It asks for a tunnel, or names another server.
    #[error("this page forwards to one API server only: ask for a path that begins with /")]
    Target,
    /// Another page made it, or nobody says which did.
    #[error("only this page itself may make this call: open the page, and do it there")]
    OtherOrigin,
    /// It does not say that the page made it, which no form and no link can.
    #[error("only this page itself may make this call: send X-Daypass: page")]
    NotOfPage,
    /// It says who calls, which the login alone does.
    #[error("nobody but the login says who calls: leave out Impersonate-* and X-Remote-*")]
    SaysWho,
    /// It wants to become something else than HTTP.
    #[error("nothing is upgraded here: leave out Upgrade")]
    Upgrade,
    /// No browser that the page was opened in made it.
    #[error("this browser is not signed in: open the URL that kubectl daypass ui has printed, or run it again")]
    NoSession,
    /// The one-time token is another one, or somebody has used it.
    #[error(
        "this URL is of another run, or was opened already: run kubectl daypass ui again. If it was not you who opened it, \
         end that run first"
    )]
    TokenSpent,
    /// There is no login, or the API server does not take it any longer.
    #[error("sign in again: {0}")]
    SignInAgain(String),
    /// No token came along, or not as one.
    #[error(
        "this call carries no token of a login in {0}, or more than one: open the page at its own address, where the proxy \
         signs you in; on your own machine, kubectl daypass ui works without one"
    )]
    NoToken(String),
    /// A token came along that has not ended, and the API server takes it for nobody's.
    #[error(
        "the proxy has signed you in, and the API server of this cluster does not accept that login: run kubectl daypass ui \
         on your own machine, and tell who runs this page"
    )]
    NotTaken,
    /// There is nothing at this path.
    #[error("there is nothing here that the page knows")]
    NoSuchPage,
    /// The API server is not asked this.
    #[error("the page does not forward this call: use kubectl")]
    NotInTable,
    /// A path that can be read in two ways.
    #[error("a path of the page has plain names alone: leave out %, .., //, ; and \\")]
    OddPath,
    /// A parameter that this call does not have.
    #[error("{0}: this call has no such parameter, or has it once and with another value")]
    BadParameter(String),
    /// A body where there is none.
    #[error("this call has no body: leave it out")]
    NoBodyHere,
    /// A body of another kind.
    #[error("the body of this call is {0}: say so in Content-Type")]
    ContentType(&'static str),
    /// A body that is too long.
    #[error("the body is longer than 64 KiB: leave something out, or use kubectl")]
    TooLarge,
    /// A body that did not come.
    #[error("the body did not come to its end: send it again")]
    NoBody,
    /// A body that says something else than it may.
    #[error("the body of this call is not as it should be: {0}")]
    BadBody(String),
    /// A review in the name of somebody else.
    #[error("you are {0}, and write no review but your own")]
    NotYourReview(String),
    /// A review that does not say what was looked at.
    #[error("a review is of exactly what was seen: give metadata.uid and metadata.resourceVersion of the request")]
    NotSeen,
    /// The API server cannot be reached.
    #[error("the API server cannot be reached ({0}): see that it is there; the page goes on when it is back")]
    Away(String),
    /// The API server leads elsewhere.
    #[error("the API server leads to another place, where the page does not go: see that its URL is the right one")]
    LedElsewhere,
    /// The caller lacks a right.
    #[error("{0}")]
    Forbidden(String),
    /// It cannot be computed from what was given or read.
    #[error("{0}")]
    Unusable(String),
}

impl PageRefusal {
    /// What it is answered with: the code, and a word that stays as it is.
    pub fn word(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Framing => (StatusCode::BAD_REQUEST, "Framing"),
            Self::OtherHost => (StatusCode::MISDIRECTED_REQUEST, "OtherHost"),
            Self::Target => (StatusCode::BAD_REQUEST, "Target"),
            Self::OtherOrigin => (StatusCode::FORBIDDEN, "OtherOrigin"),
            Self::NotOfPage => (StatusCode::FORBIDDEN, "NotOfPage"),
            Self::SaysWho => (StatusCode::FORBIDDEN, "SaysWho"),
            Self::Upgrade => (StatusCode::BAD_REQUEST, "Upgrade"),
            Self::NoSession => (StatusCode::UNAUTHORIZED, "NoSession"),
            Self::TokenSpent => (StatusCode::UNAUTHORIZED, "TokenSpent"),
            Self::SignInAgain(_) => (StatusCode::UNAUTHORIZED, "SignInAgain"),
            Self::NoToken(_) => (StatusCode::UNAUTHORIZED, "NoToken"),
            Self::NotTaken => (StatusCode::UNAUTHORIZED, "NotTaken"),
            Self::NoSuchPage => (StatusCode::NOT_FOUND, "NoSuchPage"),
            Self::NotInTable => (StatusCode::NOT_FOUND, "NotInTable"),
            Self::OddPath => (StatusCode::BAD_REQUEST, "OddPath"),
            Self::BadParameter(_) => (StatusCode::BAD_REQUEST, "BadParameter"),
            Self::NoBodyHere => (StatusCode::BAD_REQUEST, "NoBodyHere"),
            Self::ContentType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "ContentType"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "TooLarge"),
            Self::NoBody => (StatusCode::BAD_REQUEST, "NoBody"),
            Self::BadBody(_) => (StatusCode::BAD_REQUEST, "BadBody"),
            Self::NotYourReview(_) => (StatusCode::FORBIDDEN, "NotYourReview"),
            Self::NotSeen => (StatusCode::BAD_REQUEST, "NotSeen"),
            Self::Away(_) => (StatusCode::SERVICE_UNAVAILABLE, "Away"),
            Self::LedElsewhere => (StatusCode::BAD_GATEWAY, "LedElsewhere"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "Forbidden"),
            Self::Unusable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "Unusable"),
        }
    }
}
