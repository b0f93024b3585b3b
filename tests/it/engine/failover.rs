//! What the status says of the next failure, and whether that is what happens.

use vipd::status::Span;

use super::bench::Bench;
use super::setup::*;

fn span(least_ms: u64, most_ms: u64) -> Span {
    Span { least_ms, most_ms }
}

#[test]
fn a_backup_knows_when_it_would_serve() {
    // Its own wait less the interval in which the master dies.
    for (dialect, cs, value, on_crash, on_resign) in [
        (V2, 100, 150, span(2414, 3415), span(414, 415)),
        (V3, 100, 100, span(2609, 3610), span(609, 610)),
        (V3, 20, 100, span(521, 722), span(121, 122)),
    ] {
        let mut bench = Bench::settled(router(|r| {
            r.dialect = dialect;
            r.priority = priority(value);
            r.interval = centis(cs);
        }));
        assert_eq!(bench.status().failover, None, "nobody to follow");
        bench.hear(&advert(HIGH, 200).speaking(dialect).every(cs));
        let failover = bench.status().failover.unwrap();
        assert_eq!((failover.on_crash, failover.on_resign), (on_crash, on_resign));
        let successor = failover.successor.unwrap();
        assert_eq!((successor.priority, successor.is_self), (value, true));
        assert_eq!((successor.address, failover.on_daemon_crash), (ip(OWN), None));
        // And that is what happens.
        let heard = bench.elapsed();
        bench.run_to_next();
        let took = bench.elapsed() - heard;
        assert!(took <= ms(on_crash.most_ms) && took > ms(on_crash.most_ms - 1), "{took:?}");
    }
}

// The master's interval counts, not its own (T2).
#[test]
fn the_estimate_uses_the_learnt_interval() {
    let mut bench = Bench::settled(with_priority(100));
    bench.hear(&advert(HIGH, 200).every(200));
    assert_eq!(bench.status().failover.unwrap().on_crash, span(5218, 7219));
}

#[test]
fn a_master_about_to_be_preempted_makes_no_difference_by_dying() {
    let mut bench = Bench::settled(with_priority(100));
    bench.run_for(secs(1));
    bench.hear(&advert(LOW, 50));
    assert_eq!(bench.status().failover.unwrap().on_crash, span(2609, 2610));
    bench.hear(&advert(LOW, 0));
    assert_eq!(bench.status().failover, None, "it has resigned already");
}

#[test]
fn a_master_tells_what_it_knows_of_its_backups() {
    let leased = || router(|r| r.options.lease = true);
    let mut bench = Bench::master(leased());
    let failover = bench.status().failover.unwrap();
    // Any backup: priority 254 to 1.
    assert_eq!(failover.successor, None);
    assert_eq!((failover.on_crash, failover.on_resign), (span(2007, 3997), span(7, 997)));
    // Renewed twice a second, and the kernel is up to 1.5 s late.
    assert_eq!(failover.on_daemon_crash, Some(span(1500, 3500)));

    bench.hear(&advert(LOW, 50));
    bench.hear(&advert(HIGH, 80));
    bench.run_for(secs(5));
    let failover = bench.status().failover.unwrap();
    let successor = failover.successor.unwrap();
    assert_eq!((successor.address, successor.priority), (ip(HIGH), 80));
    assert_eq!((successor.is_self, successor.last_heard_ms), (false, Some(5000)));
    assert_eq!((failover.on_crash, failover.on_resign), (span(2687, 3688), span(687, 688)));
    bench.reload(vec![router(|r| r.options.lease = false)]);
    assert_eq!(bench.status().failover.unwrap().on_daemon_crash, None);
    bench.track(0, true);
    assert_eq!(bench.status().failover, None);
}

#[test]
fn any_packet_of_another_node_shows_that_vrrp_gets_through() {
    let mut bench = Bench::settled(with_priority(100));
    for heard in [
        advert(LOW, 50).vrid(77),
        advert(LOW, 50).speaking(V2),
        advert(LOW, 50).damaged(|message| message.truncate(3)),
    ] {
        bench.hear(&heard);
        assert_eq!(bench.status().last_heard_ms, Some(0));
        bench.run_for(secs(2));
        assert_eq!(bench.status().last_heard_ms, Some(2000));
    }
    let mut deaf = Bench::settled(with_priority(100));
    deaf.hear(&advert(OWN, 50));
    deaf.hear(&advert(LOW, 50).on(ETH1));
    assert_eq!(deaf.status().last_heard_ms, None);
}
