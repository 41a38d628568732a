//! The tests against a real API server. Each file beside this one holds the trials of one behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod activity;
mod admission;
mod approve;
mod archive;
mod attack;
mod audit;
mod behind;
mod bench;
mod break_glass;
mod cert_manager;
mod chart;
mod ci;
mod clock;
mod crash;
mod demo;
mod dockerfile;
mod docs;
mod examples;
mod expressions;
mod extend;
mod extra;
mod faults;
mod feeds;
mod findings;
mod freeze;
mod grant;
mod guards;
mod harness;
mod harness_check;
mod hindered;
mod identity;
mod identity_ways;
mod idle;
mod image;
mod leader;
mod mail;
mod namespaces;
mod narrow;
mod narrower_table;
mod newcomer;
mod notices;
mod operate;
mod outbox;
mod outputs;
mod own_namespace;
mod page;
mod picture;
mod plugin;
mod policy;
mod protected;
mod receiver;
mod record;
mod recur;
mod release;
mod retention;
mod review;
mod revoke;
mod rights;
mod risk_table;
mod roles;
mod rules;
mod schedule;
mod spread;
mod stored;
mod tutorial;
mod uninstall;
mod upgrade;
mod usable_roles;
mod versions;
mod written_in_gap;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Trials mostly wait, so there are more of them at a time than cores.
const TRIALS_AT_A_TIME: usize = 8;

fn main() -> ExitCode {
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match std::env::args().nth(1).as_deref() {
        Some(harness_check::HOLD) => harness_check::hold(),
        Some("bench") => bench::run(std::env::args().nth(2).as_deref(), std::env::args().nth(3).as_deref()),
        Some("faults") => faults::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("activity-load") => feeds::load::run(),
        Some("demo") => demo::run(std::env::args().any(|argument| argument == "--keep")),
        Some("playground") => demo::playground(),
        Some("picture") => picture::run(),
        Some("page-pictures") => page::pictures::run(),
        Some("tutorial") => tutorial::print(),
        Some("stored") => stored::write(),
        Some("archive") => archive::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("risk-table") => risk_table::write(),
        Some("narrower-table") => narrower_table::write(),
        Some("image") => image::run(std::env::args().nth(2), std::env::args().nth(3)),
        Some("cert-manager") => cert_manager::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("upgrade") => upgrade::run(std::env::args().nth(2)),
        // What comes after that word is as ever: a filter, flags.
        Some("versions-table") => versions::table::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("versions") => run_trials(Arguments::from_iter(std::env::args().skip(1)), versions::part()),
        _ => run_trials(Arguments::from_args(), trials()),
    }
}

fn trials() -> Vec<Trial> {
    let trials = [
        harness_check::trials(),
        record::trials(),
        activity::trials(),
        outputs::trials(),
        recur::trials(),
        freeze::trials(),
        grant::trials(),
        narrow::trials(),
        approve::trials(),
        expressions::trials(),
        extend::trials(),
        extra::trials(),
        break_glass::trials(),
        identity::trials(),
        identity_ways::trials(),
        idle::trials(),
        revoke::trials(),
        schedule::trials(),
        admission::trials(),
        crash::trials(),
        behind::trials(),
        hindered::trials(),
        leader::trials(),
        mail::trials(),
        clock::trials(),
        faults::trials(),
        findings::trials(),
        feeds::trials(),
        operate::trials(),
        outbox::trials(),
        notices::trials(),
        own_namespace::trials(),
        page::trials(),
        policy::trials(),
        protected::trials(),
        plugin::trials(),
        newcomer::trials(),
        rules::trials(),
        risk_table::trials(),
        narrower_table::trials(),
        tutorial::trials(),
        dockerfile::trials(),
        docs::trials(),
        archive::trials(),
        picture::trials(),
        receiver::trials(),
        review::trials(),
        examples::trials(),
        uninstall::trials(),
        chart::trials(),
        ci::trials(),
        spread::trials(),
        release::trials(),
        stored::trials(),
        written_in_gap::trials(),
        audit::trials(),
        rights::trials(),
        namespaces::trials(),
        roles::trials(),
        usable_roles::trials(),
        guards::trials(),
        attack::trials(),
        versions::trials(),
    ];
    apart(trials.into_iter().flatten().collect())
}

/// Of the trials with browsers one runs at a time. Side by side, those that wait would keep all others from a turn: so they
/// are spread evenly among them.
fn apart(trials: Vec<Trial>) -> Vec<Trial> {
    let (mut browsers, others): (Vec<_>, Vec<_>) =
        trials.into_iter().partition(|trial| trial.name().starts_with(page::browser::PREFIX));
    let every = others.len() / (browsers.len() + 1) + 1;
    let mut spread = Vec::new();
    for (nth, other) in others.into_iter().enumerate() {
        if nth % every == every - 1 {
            spread.extend(browsers.pop());
        }
        spread.push(other);
    }
    spread.extend(browsers);
    spread
}

fn run_trials(mut arguments: Arguments, trials: Vec<Trial>) -> ExitCode {
    arguments.test_threads.get_or_insert(TRIALS_AT_A_TIME);
    let conclusion = libtest_mimic::run(&arguments, trials);
    harness::cluster::end();
    harness::records::verdict(conclusion.exit_code())
}
