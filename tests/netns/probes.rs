//! Checks as the daemon runs them: what they leave behind, what they cost, and how soon they count.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use vipd::lab::deadline::eventually;
use vipd::lab::{Node, Stamp, Vipd};

use crate::common::{
    INTERVAL, Machine, Site, adverts, await_state, binary, longest_gap, pass, site, snapshot,
    start, web,
};
use crate::turns::{alone, together};
use crate::{SOON, lab};

/// A router that tracks a script of this text; it sleeps for `seconds`, which names it.
fn hanging(seconds: u32) -> String {
    let track = "track = [{ name = \"slow\", weight = -1 }]";
    format!(
        "{}[track.script.slow]\ncommand = [\"sh\", \"-c\", \"sleep {seconds} & sleep {seconds}; true\"]\n\
         interval = \"1s\"\ntimeout = \"60s\"\n",
        web(100, track)
    )
}

/// The ids of the `sleep`s and shells that were started for this long.
fn sleeping(seconds: u32) -> Vec<u32> {
    let mark = format!("sleep\0{seconds}\0");
    let of_script = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        text == mark || text.contains(&format!("sleep {seconds} &"))
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            of_script(&fs::read(entry.path().join("cmdline")).ok()?).then_some(pid)
        })
        .collect()
}

fn await_three(seconds: u32) -> Vec<u32> {
    eventually(SOON, "the script and its children", || match sleeping(seconds) {
        found if found.len() == 3 => Ok(found),
        found => Err(format!("{found:?}")),
    })
    .unwrap()
}

fn await_end(old: &[u32], seconds: u32) {
    eventually(Duration::from_secs(2), "the end of every process of the script", || {
        let left: Vec<_> = sleeping(seconds).into_iter().filter(|pid| old.contains(pid)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .unwrap();
}

fn alone_on_a_host(seconds: u32) -> (vipd::lab::Lab, Node, Vipd) {
    let lab = lab();
    let node = lab.node("lb-01").unwrap();
    node.link("eth0", &["10.0.0.2/24"]).unwrap();
    let vipd = start(&node, &hanging(seconds));
    (lab, node, vipd)
}

#[test]
fn no_process_of_a_check_outlives_a_daemon_that_is_killed() {
    let _turn = together();
    let (_lab, _node, vipd) = alone_on_a_host(6241);
    let script = await_three(6241);
    vipd.kill9();
    await_end(&script, 6241);
}

#[test]
fn no_process_of_a_check_outlives_a_daemon_that_is_stopped() {
    let _turn = together();
    let (_lab, _node, vipd) = alone_on_a_host(6251);
    let script = await_three(6251);
    vipd.stop();
    assert!(vipd.process().wait(SOON).unwrap().success(), "{}", vipd.log());
    await_end(&script, 6251);
}

#[test]
fn no_process_of_a_check_outlives_its_place_in_the_configuration() {
    let _turn = together();
    let (_lab, _node, vipd) = alone_on_a_host(6261);
    let script = await_three(6261);
    vipd.reload(&web(100, "")).unwrap();
    await_end(&script, 6261);
}

#[test]
fn no_process_of_a_check_outlives_the_binary_that_started_it() {
    let _turn = together();
    let (_lab, node, vipd) = alone_on_a_host(6271);
    let script = await_three(6271);
    let mut upgrade = Command::new(binary());
    upgrade.args(["upgrade", "--run-dir"]).arg(vipd.run_dir());
    let said = node.output(upgrade, SOON).unwrap();
    assert!(said.exit.success(), "{said:?}\n{}", vipd.log());
    await_end(&script, 6271);
    // The next binary runs its own, and takes leave of the children of the last.
    await_three(6271);
    let own = vipd.process().pid().as_raw();
    let look = || match zombies_of(own) {
        found if found.is_empty() => Ok(()),
        found => Err(found.join("; ")),
    };
    eventually(SOON, "no zombie", look).unwrap();
}

/// Children that have ended and nobody has taken leave of.
fn zombies_of(parent: i32) -> Vec<String> {
    let mark = format!(") Z {parent} ");
    let stats = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    stats.filter(|stat| stat.contains(&mark)).collect()
}

/// The children of a process, with their names.
fn children(parent: i32) -> Vec<(i32, String)> {
    let child = |entry: std::io::Result<fs::DirEntry>| {
        let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        let (start, rest) = stat.rsplit_once(") ")?;
        let (pid, name) = start.split_once(" (")?;
        let is_child = rest.split(' ').nth(1) == Some(&parent.to_string());
        is_child.then(|| (pid.parse().unwrap(), name.to_owned()))
    };
    fs::read_dir("/proc").unwrap().filter_map(child).collect()
}

/// As the first process of a container it is the parent of everybody who has lost theirs.
#[test]
fn as_the_first_process_it_reaps_every_orphan_and_its_guard_has_a_name() {
    let _turn = together();
    let lab = lab();
    let node = lab.node("lb-01").unwrap();
    node.link("eth0", &["10.0.0.2/24"]).unwrap();
    let directory = node.directory().unwrap();
    let noted = directory.join("orphan");
    // It leaves the script's process group, says its number there, and ends a moment later.
    let script = directory.join("leave.sh");
    let text = format!(
        "[ -s {0} ] || setsid -f sh -c 'echo $$ >{0}; exec sleep 0.2'\nuntil [ -s {0} ]; do :; done\n",
        noted.display()
    );
    fs::write(&script, text).unwrap();
    let config = format!(
        "{}[track.script.leave]\ncommand = [\"sh\", \"{}\"]\ninterval = \"1s\"\n",
        web(100, "track = [{ name = \"leave\", weight = -1 }]"),
        script.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(binary()).arg("run");
    command.arg("--config").arg(node.write_file("vipd.toml", &config).unwrap());
    command.arg("--run-dir").arg(directory.join("run"));
    let unshare = node.spawn(command).unwrap();

    let orphan = eventually(SOON, "an orphan", || {
        let number = fs::read_to_string(&noted).unwrap_or_default();
        number.trim().parse::<i32>().map_err(|_| unshare.output())
    })
    .unwrap();
    let (vipd, _) = children(unshare.pid().as_raw()).pop().unwrap();
    // It gets its name a moment after its start.
    eventually(SOON, "one guard", || {
        let children = children(vipd);
        let guards = children.iter().filter(|(_, name)| name == "vipd-guard").count();
        if guards == 1 { Ok(()) } else { Err(format!("{children:?}")) }
    })
    .unwrap();
    eventually(SOON, "the end of the orphan, not as a zombie", || {
        let left = children(vipd).into_iter().find(|(pid, _)| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            numbers.and_then(|n| n.split_whitespace().last()) == Some(&orphan.to_string())
        });
        left.map_or(Ok(()), |left| Err(format!("{left:?}")))
    })
    .unwrap();
    // A script may have ended this moment.
    eventually(SOON, "no zombie", || match zombies_of(vipd) {
        none if none.is_empty() => Ok(()),
        some => Err(format!("{some:?}")),
    })
    .unwrap();
}

/// Two hundred scripts a second, every other one hanging until it is killed, beside a master that
/// advertises ten times a second.
#[test]
fn a_crowd_of_hanging_scripts_delays_no_advert() {
    const SCRIPTS: u32 = 200;
    let _turn = alone();
    let Site { lab, a, client, b: _ } = site();
    let names: Vec<String> =
        (0..SCRIPTS).map(|n| format!("{{ name = \"s{n}\", weight = -1 }}")).collect();
    let scripts = (0..SCRIPTS).map(|n| {
        let text = if n % 2 == 0 { "trap '' TERM; sleep 6281; true" } else { "exit 0" };
        format!(
            "[track.script.s{n}]\ncommand = [\"sh\", \"-c\", \"{text}\"]\ninterval = \"1s\"\n\
             timeout = \"900ms\"\nfall = 1\n"
        )
    });
    let router = web(200, &format!("track = [{}]", names.join(", ")));
    let crowd = router + &scripts.collect::<String>();
    let vipd = start(&a, &crowd);
    await_state(&vipd, "master");
    eventually(SOON, "every hanging script to count", || {
        match snapshot(&vipd)["routers"][0]["priority"].as_u64() {
            // A busy machine lets others time out as well.
            Some(..=100) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .unwrap();

    let machine = Machine::watch();
    let wire = lab.capture_port(&client, "eth0").unwrap();
    pass(Duration::from_secs(4));
    let gap = longest_gap(&adverts(&wire.new_frames(), "10.0.0.2"));
    let limit = machine.allows(INTERVAL + Duration::from_millis(10));
    assert!(gap <= limit, "{gap:?} between two adverts, {limit:?} allowed");
    // At most those of one interval and of the half second until SIGKILL.
    let running = sleeping(6281).len();
    assert!(running <= 2 * 200, "{running}");
    vipd.reload(&web(200, "")).unwrap();
    eventually(Duration::from_secs(2), "no script", || sleeping(6281).is_empty()).unwrap();
    let own = vipd.process().pid().as_raw();
    eventually(Duration::from_secs(1), "no zombie", || zombies_of(own).is_empty()).unwrap();
}

/// A web server that can be told to fail, and notes when it sent its last good and bad answers.
struct Web {
    healthy: Arc<AtomicBool>,
    last_failure: Arc<Mutex<Option<Stamp>>>,
}

impl Web {
    fn start(node: &Node) -> Web {
        let listener = node.inside("listen", || TcpListener::bind("10.0.0.9:80")).unwrap();
        let (healthy, last_failure) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let web = Web { healthy: Arc::clone(&healthy), last_failure: Arc::clone(&last_failure) };
        // Ends with the test program.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let _ = stream.read(&mut [0; 1024]);
                let status = if healthy.load(Ordering::SeqCst) {
                    "200 OK"
                } else {
                    last_failure.lock().unwrap().get_or_insert_with(Stamp::now);
                    "503 Service Unavailable"
                };
                let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            }
        });
        web
    }
}

#[test]
fn a_failing_answer_lowers_the_priority_at_once() {
    const FAST: Duration = Duration::from_millis(5);
    let _turn = alone();
    let Site { lab, a, client, b: _ } = site();
    let server = Web::start(&client);
    let check = "[track.http.web]\nurl = \"http://10.0.0.9/health\"\ninterval = \"100ms\"\n\
                 timeout = \"1s\"\nfall = 1\nrise = 1\n";
    let slow = web(150, "track = [{ name = \"web\", weight = -60 }]").replace("100ms", "1s");
    let vipd = start(&a, &format!("{slow}{check}"));
    await_state(&vipd, "master");
    let machine = Machine::watch();
    let wire = lab.capture_port(&client, "eth0").unwrap();
    let priority = |wanted: u8| {
        let what = format!("an advert with priority {wanted}");
        let (frame, ()) = wire
            .wait_for_decoded(SOON, &what, |decoded| match decoded {
                vipd::lab::Decoded::Vrrp(v) if v.priority == wanted => Some(()),
                _ => None,
            })
            .unwrap();
        frame.at
    };
    let (mut quickest, mut slowest) = (Duration::MAX, Duration::ZERO);
    for _ in 0..5 {
        wire.mark();
        priority(150);
        *server.last_failure.lock().unwrap() = None;
        server.healthy.store(false, Ordering::SeqCst);
        let told = priority(90);
        let failed = server.last_failure.lock().unwrap().unwrap();
        let took = told.since(failed);
        (quickest, slowest) = (quickest.min(took), slowest.max(took));
        server.healthy.store(true, Ordering::SeqCst);
    }
    println!("from the failing answer to the lowered advert: {quickest:?} to {slowest:?}");
    assert!(quickest <= FAST && slowest <= machine.allows(FAST), "{quickest:?} to {slowest:?}");
    vipd.stop();
}
