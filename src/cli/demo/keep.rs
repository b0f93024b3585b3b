//! `vipd demo --keep`: the same hosts in the hands of the user.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use nix::unistd::gettid;

use super::VIP;
use super::screen::Screen;
use super::stage::Stage;
use super::{End, Signals};
use crate::lab::ping::Pinger;
use crate::lab::{Error, Node, Stamp};
use crate::sys::netns;
use crate::types::Mac;

/// Time between two looks at the shell and the client.
const TICK: Duration = Duration::from_millis(20);

/// Silence of the client that is worth a line.
const WORTH_SAYING: Duration = Duration::from_millis(50);

/// Silence that is said before it ends.
const LONG: Duration = Duration::from_secs(5);

/// A pinger remembers every answer: after about ten minutes it is replaced.
const ENOUGH_ANSWERS: usize = 300_000;

/// Runs the user's shell among the hosts until it ends.
pub(super) fn keep(
    stage: &mut Stage,
    screen: &mut Screen,
    signals: &Signals,
    privileged: bool,
) -> Result<(), End> {
    let path = write_helpers(stage)?;
    screen.heading("The hosts are yours until you leave this shell")?;
    screen.say(&advice(stage, privileged)?)?;

    let mut shell = Shell::start(stage, path)?;
    let mut watch = Watch::new(stage);
    // Ctrl-C is for what runs in the shell.
    while shell.runs()? {
        match signals.caught() {
            Some(signal_hook::consts::SIGINT) => signals.forget(),
            _ => signals.check()?,
        }
        if let Some(news) = watch.look(stage)? {
            // The shell may be in the middle of a line.
            screen.say(&format!("\r\n[client] {news}\r"))?;
        }
        thread::sleep(TICK);
    }
    Ok(())
}

fn advice(stage: &Stage, privileged: bool) -> Result<String, End> {
    let into = if privileged { "-n -u" } else { "-U --preserve-credentials -n -u" };
    let [one, two, client] = [&stage.balancers[0].node, &stage.balancers[1].node, &stage.client]
        .map(|node| thread_of(node).map(|thread| format!("nsenter -t {thread} {into}")));
    Ok(format!(
        "
It runs on the client, in {directory}. To run a command on a
host put its name first: lb-01 ip addr. vipd-status asks both daemons, vipd-log
lb-01 shows a log, vipd-start lb-01 starts a daemon again. When the client has
lost pings, a line here says so. Try:

1 Kill the master's daemon. The address stays there too, but clients are told.
    kill -9 $(cat lb-01/run/vipd.pid)
    vipd-start lb-01
2 Freeze it for six seconds: two masters, and then one again.
    kill -STOP $(cat lb-01/run/vipd.pid); sleep 6
    kill -CONT $(cat lb-01/run/vipd.pid)
3 Take its interface down, and up again.
    lb-01 ip link set eth0 down; sleep 6; lb-01 ip link set eth0 up
4 Give it a lower priority without a restart.
    sed -i 's/priority 101/priority 90/' lb-01/keepalived.conf
    kill -HUP $(cat lb-01/run/vipd.pid)
5 Delete the address behind the master's back.
    lb-02 ip addr del {VIP}/24 dev eth0

From another terminal:
    lb-01   {one}
    lb-02   {two}
    client  {client}

exit ends everything.
",
        directory = stage.lab.directory().display(),
        one = one?,
        two = two?,
        client = client?,
    ))
}

/// Writes the commands the shell finds first, and returns its search path.
fn write_helpers(stage: &Stage) -> Result<OsString, End> {
    let bin = stage.lab.directory().join("bin");
    let failed = |source| Error::Kernel {
        place: "demo".into(),
        what: format!("write the commands in {}", bin.display()),
        source,
    };
    fs::create_dir_all(&bin).map_err(failed)?;
    for balancer in &stage.balancers {
        let thread = thread_of(&balancer.node)?;
        let text = format!("#!/bin/sh\nexec nsenter -t {thread} -n -u \"$@\"\n");
        write_program(&bin.join(balancer.node.name()), &text).map_err(failed)?;
    }
    let root = stage.lab.directory().display().to_string();
    for (name, text) in [("vipd-status", STATUS), ("vipd-log", LOG), ("vipd-start", START)] {
        let text = format!("#!/bin/sh\ncd '{root}' || exit\n{text}");
        write_program(&bin.join(name), &text).map_err(failed)?;
    }
    std::os::unix::fs::symlink(&stage.binary, bin.join("vipd")).map_err(failed)?;

    let inherited = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(Into::into);
    let paths = [bin.clone()].into_iter().chain(env::split_paths(&inherited)).chain(system);
    env::join_paths(paths).map_err(|error| failed(io::Error::other(error)).into())
}

const STATUS: &str = "for host in lb-01 lb-02; do
    vipd status --run-dir $host/run \"$@\"
    echo
done
";

const LOG: &str = "host=${1:?say which: lb-01 or lb-02}
pid=$(cat $host/run/vipd.pid)
[ -n \"$pid\" ] && cat /proc/$pid/fd/2 && exit
echo \"no vipd runs on $host: vipd-start $host\" >&2
exit 1
";

const START: &str = "host=${1:?say which: lb-01 or lb-02}
$host vipd run --config $host/keepalived.conf --config $host/haproxy.cfg --run-dir $host/run >$host/log 2>&1 </dev/null &
";

fn write_program(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// The thread that lives in a host: what `nsenter -t` takes.
fn thread_of(node: &Node) -> Result<i32, Error> {
    node.inside("look up its thread", || Ok(gettid().as_raw()))
}

/// The user's shell; dropping it ends it.
struct Shell(Child);

impl Shell {
    fn start(stage: &Stage, path: OsString) -> Result<Shell, End> {
        let program = env::var_os("SHELL").filter(|shell| !shell.is_empty());
        let mut command = Command::new(program.unwrap_or_else(|| "/bin/sh".into()));
        command.current_dir(stage.lab.directory()).env("PATH", path);
        netns::die_with_spawning_thread(&mut command);
        Ok(Shell(stage.client.inside("start a shell", move || command.spawn())?))
    }

    fn runs(&mut self) -> Result<bool, End> {
        let ended = self.0.try_wait().map_err(|source| Error::Kernel {
            place: "demo".into(),
            what: "wait for the shell".into(),
            source,
        })?;
        Ok(ended.is_none())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // It has ended already unless the demo itself is being stopped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tells what the client notices.
struct Watch {
    since: Stamp,
    unanswered: u64,
    from: Option<Mac>,
    silent: bool,
    said: bool,
}

impl Watch {
    fn new(stage: &Stage) -> Watch {
        let from = stage.ping.last().map(|last| last.from);
        let unanswered = stage.unanswered();
        Watch { since: Stamp::now(), unanswered, from, silent: false, said: false }
    }

    fn look(&mut self, stage: &mut Stage) -> Result<Option<String>, Error> {
        let Some(last) = stage.ping.last() else { return Ok(None) };
        let silence = Stamp::now().since(last.at);
        if silence > WORTH_SAYING {
            self.silent = true;
            if silence < LONG || self.said {
                return Ok(None);
            }
            self.said = true;
            return Ok(Some(format!("{VIP} has not answered for {} s", LONG.as_secs())));
        }
        let before = self.from.replace(last.from);
        if !self.silent && before == Some(last.from) {
            if stage.ping.received() > ENOUGH_ANSWERS {
                stage.ping = Pinger::start(&stage.client, VIP.into())?;
                (self.since, self.unanswered) = (Stamp::now(), 0);
            }
            return Ok(None);
        }
        (self.silent, self.said) = (false, false);
        let (now, unanswered) = (Stamp::now(), stage.unanswered());
        let outage = stage.ping.record().longest_outage_in(self.since, now);
        let lost = unanswered.saturating_sub(self.unanswered);
        (self.since, self.unanswered) = (now, unanswered);
        let name = stage.balancers.iter().find(|b| b.mac == last.from).map(|b| b.node.name());
        let name = name.unwrap_or("somebody else");
        let length = outage.map_or(0, |outage| outage.length.as_millis());
        Ok(Some(match lost {
            0 => format!("{VIP} answers from {name}, no ping was lost"),
            1 => format!("{VIP} answers from {name}, one ping was lost"),
            _ => format!("{VIP} answers from {name} after {length} ms, {lost} pings were lost"),
        }))
    }
}
