//! P11 and P13: what a daemon costs while nothing happens.

use std::{thread::sleep, time::Duration};

use crate::{
    Outcome,
    bench::Bench,
    home::Home,
    leases::{LeaseProtocol, make_room, open_leases},
    plain::PlainDaemon,
    proc_stat::{memory, process_time},
    product::Product,
    report::{Report, Row, at_most},
};

/// Returns the memory in MiB of a fresh daemon, and the KiB of each of 1,000 further leases once
/// the first ones have brought in the program's code.
fn memory_of_leases(daemon: u32, protocol: &dyn LeaseProtocol) -> Outcome<(f64, f64)> {
    const FIRST: usize = 200;
    const LEASES: usize = 1000;
    let settled = || {
        sleep(Duration::from_millis(500));
        memory(daemon)
    };
    let idle = settled()?;
    let first = open_leases(protocol, 0..FIRST)?;
    let before = settled()?;
    let further = open_leases(protocol, FIRST..FIRST + LEASES)?;
    let after = settled()?;
    drop((first, further));
    Ok((idle.pss / 1024.0, (after.pss - before.pss) / LEASES as f64))
}

/// P11: the plain daemon's and ours.
pub(crate) fn memory_rows(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let plain = PlainDaemon::start(&bench.home, "memory")?;
    let (idle, each) = memory_of_leases(plain.pid(), &plain)?;
    drop(plain);
    let mut idle_row = Row::new("P11", "daemon, idle (PSS)")
        .yardstick("plain daemon", &[idle], "MiB")
        .goals(at_most(12.0), at_most(6.0), "MiB");
    let mut each_row = Row::new("P11", "daemon, each of 1,000 further leases (PSS)")
        .yardstick("plain daemon", &[each], "KiB")
        .goals(at_most(4.0), at_most(2.0), "KiB");
    if let Some(amps) = &bench.amps {
        let home = Home::new()?;
        let product = Product::start(amps, &home)?;
        sleep(Duration::from_millis(500));
        let fresh = memory(product.daemon_pid())?;
        let pss = fresh.pss / 1024.0;
        idle_row = idle_row.ours(&[pss], "MiB").judged(&[pss]);
        report.figure(
            ("P11", "daemon, idle (RSS)", "MiB"),
            "amps",
            fresh.rss / 1024.0,
        );
        if let Some(protocol) = product.leases() {
            let (_, each) = memory_of_leases(product.daemon_pid(), &*protocol)?;
            each_row = each_row.ours(&[each], "KiB").judged(&[each]);
        } else {
            each_row = each_row.because("this process cannot name itself");
        }
    }
    report.row(idle_row);
    report.row(each_row);
    Ok(())
}

/// P13: 10,000 leases that are renewed once a second.
pub(crate) fn beats(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (wanted, seconds) = if bench.quick {
        (2_000, 5)
    } else {
        (10_000, 15)
    };
    let leases = room_for(wanted)?;
    if leases < wanted {
        report.note(format!(
            "P13 was measured with {leases} leases: more descriptors are not allowed here"
        ));
    }
    let what = format!("{leases} leases at a beat a second: processor time a second");
    let plain = PlainDaemon::start(&bench.home, "beats")?;
    let yardstick = busy(plain.pid(), &plain, leases, seconds)?;
    drop(plain);
    let mut row = Row::new("P13", &what)
        .yardstick("plain daemon", &[yardstick], "ms")
        .goals(at_most(3.0), at_most(1.5), "x");
    if let Some(amps) = &bench.amps {
        let home = Home::new()?;
        let product = Product::start(amps, &home)?;
        if let Some(protocol) = product.leases() {
            let ours = busy(product.daemon_pid(), &*protocol, leases, seconds)?;
            row = row.ours(&[ours], "ms").judged(&[ours / yardstick]);
        } else {
            row = row.because("this process cannot name itself");
        }
    }
    report.row(row);
    Ok(())
}

/// Returns how many leases there is room for, in whole thousands where they are fewer than wanted.
fn room_for(wanted: usize) -> Outcome<usize> {
    // A daemon has a connection and a handle of the owner for each, and some of its own.
    const OWN: usize = 256;
    let room = usize::try_from(make_room(2 * wanted as u64 + OWN as u64))?;
    let most = room.saturating_sub(OWN) / 2;
    match most.min(wanted) {
        leases if leases == wanted => Ok(leases),
        leases if leases >= 1_000 => Ok(leases / 1_000 * 1_000),
        _ => Err(format!("{room} descriptors are allowed, too few for 1,000 leases").into()),
    }
}

/// Returns a daemon's processor milliseconds a second while leases beat.
fn busy(daemon: u32, protocol: &dyn LeaseProtocol, leases: usize, seconds: u64) -> Outcome<f64> {
    let mut held = open_leases(protocol, 0..leases)?;
    held.beat_for(protocol, 1)?;
    let before = process_time(daemon)?;
    let started = crate::clock::now();
    held.beat_for(protocol, seconds)?;
    let taken = crate::clock::milliseconds(started, crate::clock::now());
    let behind = taken / 1000.0 - seconds as f64;
    if behind > 0.2 * seconds as f64 {
        return Err(format!("the beats came {behind:.1} s late").into());
    }
    Ok((process_time(daemon)? - before) / taken * 1000.0)
}
