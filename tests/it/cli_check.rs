//! `vipd check`: exit statuses and what it prints.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use vipd::cli::check::{CheckArgs, check};
use vipd::cli::exit;

const GOOD: &str = "vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n \
                    virtual_ipaddress {\n 10.0.0.10/24\n }\n}\n";

fn run(args: &CheckArgs) -> (ExitCode, String) {
    let mut out = Vec::new();
    let code = check(args, &mut out);
    (code, String::from_utf8(out).unwrap())
}

fn args(files: &[&Path]) -> CheckArgs {
    CheckArgs { files: files.iter().map(PathBuf::from).collect(), ..CheckArgs::default() }
}

/// A directory with one file.
fn file(name: &str, text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn a_clean_file_prints_the_effective_settings() {
    let (_dir, path) = file("a.conf", GOOD);
    let (code, out) = run(&args(&[&path]));
    assert_eq!(code, ExitCode::SUCCESS);
    assert_eq!(
        out,
        "ROUTER  INTERFACE  VRID  VERSION  PRIORITY  INTERVAL  PREEMPT  ADDRESSES\n\
         VI_1    eth0       51    2        100       1 s       yes      10.0.0.10/24\n\
         ok: 1 virtual router\n"
    );
}

#[test]
fn the_environment_and_the_directory_of_each_file_are_the_real_ones() {
    let line = "\"${_ENV CARGO_PKG_NAME} ${_ENV NOT_SET_ANYWHERE} ${_PWD}\"\n";
    let (dir, path) = file("a.conf", format!("{line}includea sub/*.conf\n{line}"));
    fs::create_dir(dir.path().join("sub")).unwrap();
    fs::write(dir.path().join("sub/b.conf"), line).unwrap();
    // However the file is named.
    let roundabout = dir.path().join("sub/../a.conf");
    for path in [path, roundabout] {
        let (_, out) = run(&CheckArgs { json: true, ..args(&[&path]) });
        let out: serde_json::Value = serde_json::from_str(&out).unwrap();
        let said = out["diagnostics"].as_array().unwrap().iter();
        let mut said: Vec<_> = said.filter_map(|d| d["message"].as_str()).collect();
        said.retain(|message| message.starts_with("unknown keyword"));
        let told = |directory: &Path| {
            let directory = fs::canonicalize(directory).unwrap();
            format!("unknown keyword \"vipd ${{_ENV NOT_SET_ANYWHERE}} {}\"", directory.display())
        };
        let [outer, inner] = [told(dir.path()), told(&dir.path().join("sub"))];
        assert_eq!(said, [&outer, &outer, &inner]);
    }
}

#[test]
fn warnings_fail_only_when_denied() {
    let (_dir, path) =
        file("a.conf", GOOD.replace("interface eth0", "interface eth0\n smtp_alert"));
    let mut args = args(&[&path]);
    let (code, out) = run(&args);
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(out.contains("usable: 1 virtual router, 1 warning\n"), "{out}");
    args.deny_warnings = true;
    assert_eq!(run(&args).0, ExitCode::from(exit::WARNINGS));
}

#[test]
fn errors_are_78_and_all_of_them_are_printed() {
    let (_dir, path) = file("a.conf", GOOD.replace("51", "0").replace("eth0", "lo"));
    let (code, out) = run(&args(&[&path]));
    assert_eq!(code, ExitCode::from(78));
    assert_eq!(out.matches(": error: ").count(), 2, "{out}");
    assert!(out.ends_with("2 errors, 0 warnings\n"), "{out}");
}

#[test]
fn a_missing_file_is_66() {
    let (_dir, path) = file("a.conf", GOOD);
    let gone = path.with_file_name("gone.conf");
    let (code, out) = run(&args(&[&path, &gone]));
    assert_eq!(code, ExitCode::from(66));
    assert!(out.contains("No such file or directory\n"), "{out}");
    assert_eq!(run(&args(&[path.parent().unwrap()])).0, ExitCode::from(66));
}

#[test]
fn json_has_places_and_settings() {
    let (_dir, path) = file("a.conf", GOOD.replace("interface", "interfase"));
    let mut args = args(&[&path]);
    args.json = true;
    let (code, out) = run(&args);
    assert_eq!(code, ExitCode::from(78));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["usable"], false);
    let unknown = json["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .find(|d| d["message"].as_str().unwrap().starts_with("unknown keyword"))
        .unwrap();
    assert_eq!(unknown["severity"], "error");
    assert_eq!(unknown["file"], path.to_str().unwrap());
    assert_eq!((&unknown["line"], &unknown["column"]), (&2.into(), &2.into()));
    assert_eq!((&unknown["end_line"], &unknown["end_column"]), (&2.into(), &11.into()));
    assert_eq!(unknown["help"][0], "did you mean `interface`?");

    fs::write(&path, GOOD).unwrap();
    let json: serde_json::Value = serde_json::from_str(&run(&args).1).unwrap();
    assert_eq!(json["routers"][0]["vrid"], 51);
    assert_eq!(json["routers"][0]["interval_ms"], 1000);
}

#[test]
fn lenient_says_what_it_leaves_out() {
    let bad = GOOD.replace("VI_1", "VI_2").replace("51", "52").replace("eth0", "lo");
    let text = GOOD.replace("interface", "bogus 1\n interface") + &bad;
    let (_dir, path) = file("a.conf", text);
    let mut args = args(&[&path]);
    assert_eq!(run(&args).0, ExitCode::from(78));
    args.lenient = true;
    let (code, out) = run(&args);
    assert_eq!(code, ExitCode::SUCCESS, "{out}");
    let left_out = format!("VI_2 ({}:9)", path.display());
    let end = format!(
        "1 setting dropped (--lenient); not run (--lenient): {left_out}\n\
         usable: 1 virtual router, 2 warnings\n"
    );
    assert!(out.ends_with(&end), "{out}");
    args.json = true;
    let json: serde_json::Value = serde_json::from_str(&run(&args).1).unwrap();
    let dropped = format!("{}:2: unknown keyword \"bogus\" in `vrrp_instance`", path.display());
    assert_eq!(json["settings_dropped"], serde_json::json!([dropped]));
    assert_eq!(json["routers_left_out"], serde_json::json!([left_out]));
    args.deny_warnings = true;
    assert_eq!(run(&args).0, ExitCode::from(exit::WARNINGS));
}

#[test]
fn virtual_servers_can_be_passed_over() {
    let (_dir, path) = file("a.conf", format!("{GOOD}virtual_server 10.0.0.10 80 {{\n}}\n"));
    let mut args = args(&[&path]);
    assert_eq!(run(&args).0, ExitCode::from(78));
    args.vrrp = true;
    assert_eq!(run(&args).1.lines().last(), Some("ok: 1 virtual router"));
}

#[test]
fn an_executable_file_is_read_with_a_warning() {
    let (_dir, path) = file("a.conf", GOOD);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let (code, out) = run(&args(&[&path]));
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(out.contains("warning: keepalived would skip this file: it is executable"), "{out}");
}

#[test]
fn latin_1_in_a_comment_is_harmless_in_a_password_it_is_not() {
    let (_dir, path) = file("a.conf", [b"# caf\xe9\n", GOOD.as_bytes()].concat());
    assert_eq!(run(&args(&[&path])).0, ExitCode::SUCCESS);
    let auth =
        b"interface eth0\n authentication {\n auth_type PASS\n auth_pass caf\xe9\n }\n".as_slice();
    let at = GOOD.find("interface eth0").unwrap();
    let text = [&GOOD.as_bytes()[..at], auth, &GOOD.as_bytes()[at + 14..]].concat();
    fs::write(&path, text).unwrap();
    let (code, out) = run(&args(&[&path]));
    assert_eq!(code, ExitCode::from(78));
    assert!(out.contains("the password is not UTF-8"), "{out}");
}

#[test]
fn includes_are_relative_to_the_including_file() {
    let (dir, path) = file("main.conf", "include conf.d/{a,b}*\n");
    let sub = dir.path().join("conf.d");
    fs::create_dir(&sub).unwrap();
    fs::write(sub.join("a1.conf"), GOOD).unwrap();
    fs::write(
        sub.join("b1.conf"),
        GOOD.replace("VI_1", "VI_2").replace("51", "52").replace(".10/", ".20/"),
    )
    .unwrap();
    fs::create_dir(sub.join("a.d")).unwrap();
    fs::write(sub.join("c1.conf"), "not read\n").unwrap();
    let (code, out) = run(&args(&[&path]));
    assert_eq!(code, ExitCode::SUCCESS, "{out}");
    assert!(out.ends_with("ok: 2 virtual routers\n"), "{out}");
}
