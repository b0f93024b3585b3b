//! Sessions one side of which does not read for a while, with a real PostgreSQL.

use std::process::Command;
use std::thread;
use std::time::Duration;

use super::cluster;
use crate::common::start;
use crate::lab;
use crate::turns::long;

const EDGE: &str = "[cluster.pg]\nmembers = [{ name = \"pg-01\", address = \"10.0.0.21\" }]\n\
                    [listener]\nwrite = { bind = \"*:5000\", role = \"writer\" }\n";

/// How psql reaches the database, through the edge and past it.
const EDGEWISE: &str = "psql -XAtq -v ON_ERROR_STOP=1 'host=10.0.0.11 port=5000 user=postgres'";
const DIRECT: &str = "psql -XAtq -v ON_ERROR_STOP=1 'host=10.0.0.21 port=5432 user=postgres'";

/// How long a side does not read: several times what a peer that is gone gets.
const STALL: u32 = 60;

const ROWS: u32 = 3_000_000;

#[test]
fn a_dump_into_a_slow_sink_and_a_copy_behind_a_lock_lose_no_row() {
    let _turn = long();
    let lab = lab();
    let cluster = cluster(&lab, 1);
    let host = |name: &str, last: u8| {
        let node = lab.node(name).unwrap();
        node.link("eth0", &[&format!("10.0.0.{last}/24")]).unwrap();
        node
    };
    let (edge, client) = (host("lb-01", 11), host("client", 9));
    let vipd = start(&edge, EDGE);
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let done = client.output(command, Duration::from_secs(u64::from(STALL) + 120)).unwrap();
        assert!(done.exit.success(), "{script}: {}; {}", done.stderr, vipd.log());
        done.stdout
    };
    let primary = &cluster.members()[0];
    primary.sql(primary.address(), "create table held (n int)").unwrap();
    thread::scope(|scope| {
        let dump = scope.spawn(|| {
            let query = format!("copy (select generate_series(1, {ROWS})) to stdout");
            // The pipe is full at once, and psql reads no more until somebody reads from it.
            shell(&format!("{EDGEWISE} -c '{query}' | (sleep {STALL}; wc -l)"))
        });
        // The client has filled all buffers on the way long before the server reads.
        let copy = scope.spawn(|| {
            let lock = format!("begin; lock held; select pg_sleep({STALL}); commit");
            let held = "select 1 from pg_locks where relation = 'held'::regclass and granted";
            shell(&format!(
                "{DIRECT} -c '{lock}' & \
                 until [ \"$({DIRECT} -c \"{held}\")\" = 1 ]; do sleep 0.1; done; \
                 seq {ROWS} | {EDGEWISE} -c 'copy held from stdin' && wait && \
                 {DIRECT} -c 'select count(*) from held'"
            ))
        });
        assert_eq!(dump.join().unwrap().trim(), ROWS.to_string());
        assert_eq!(copy.join().unwrap().trim(), ROWS.to_string());
    });
}
