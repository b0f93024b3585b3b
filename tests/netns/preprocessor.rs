//! The lines a file stands for, as keepalived reads it and as vipd does.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;
use vipd::lab::Node;

use crate::common::binary;
use crate::turns::together;
use crate::{SOON, lab};

/// Every line that is left is an unknown keyword, which both quote. Lines in quotes are one.
const LINES: &str = r#"
$A=one
$B=two $A three
"names $A ${A} $A, $A) $A"
"names ${B} end"
"ends $A. $A/x $A-y"
$C=${D}
$D=late
"late ${C}"
$D=later
"late ${C}"
$E=
"empty [${E}]"
$G=g # comment
"comment ${G}|"
$H="quoted value"
"quotes ${H}"
joined${H}
$M= \
"many1" \
"many2 $A " # comment \
# no end
"many3" \
  
"many4"
$M
$CUT=cut1 \

"cut2"
$CUT
@vm "for vm"
@lb "for lb"
@^vm "not for vm"
@^lb "not for lb"
@vm $X=vm
@lb $X=lb
"condition ${X}"
$IF_VM= \
"all" \
@vm "all vm" \
@lb "all lb"
$IF_VM
"signs ${_HASH}${_BANG} ${_INSTANCE}"
$IN= \
"in ${V}" \
"in again ${V}"
$OUT= \
"out" \
$V=1 \
$IN \
$V=2 \
"joined" $IN \
"out again"
$OUT
~SEQ(S1,3) "s1 ${S1}"
~SEQ(S2,-2) "s2 ${S2}"
~SEQ(S3,3,1) "s3 ${S3}"
~SEQ( S4 , 1 , 2 , 6 ) "s4 ${S4}"
~SEQx(S5, 8, 0xb) "s5 ${S5}"
~SEQ(S6, 010, 011) "s6 ${S6}"
~SEQ(S7,1,2)~SEQ(S8,1,$S7)"s7 ${S7}${S8}"
$N=2
~SEQ(S9,1,${N}) "s9 ${S9}"
~LST(L1,a,,b) "l1 [${L1}]"
~LST({L2, L3} ,{1, 2} , {3,4}) "l2 ${L2} ${L3}"
~LST({L4,L5},{1,2},{3}) "l4 ${L4} ${L5}"
~LST(L6,1,2) ~SEQ(L7,1,2) "l6 ${L6} ${L7}"
$K= \
~SEQ(K1,1,2) "k ${K1}" \
~SEQ(K1,3,4) "l ${K1}"
$K
~SEQ(K2,1,2) $IN
block { } "behind"
"b { c" d
x\#y
x#y
include *.part
$WHICH=a
include {b,${WHICH}}.part
includea {c,d}.more
"directory ${_PWD}"
include inner/*.part
"directory again ${_PWD}"
"#;

const A: &str = "\"a ${A}\"\n$FROM=a\n";
const B: &str = "\"b ${FROM}\"\n";
const INNER: &str = "\"inner directory ${_PWD}\"\n";

#[test]
fn both_read_the_same_lines() {
    let _turn = together();
    let lab = lab();
    let node = lab.node("lb-01").unwrap();
    node.write_file("a.part", A).unwrap();
    node.write_file("b.part", B).unwrap();
    node.write_file("c.more", "\"all c\"\n").unwrap();
    node.write_file("d.more", "\"all d\"\n").unwrap();
    let file = node.write_file("keepalived.conf", LINES).unwrap();
    let inner = file.with_file_name("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("e.part"), INNER).unwrap();

    let mut keepalived = Command::new("keepalived");
    keepalived.args(["--config-test", "--log-console", "--config-id=vm"]);
    keepalived.arg(format!("--use-file={}", file.display()));
    let said = output(&node, keepalived);
    let theirs: BTreeSet<&str> = said
        .lines()
        .filter_map(|line| line.split_once(") Unknown keyword '")?.1.strip_suffix('\''))
        .collect();

    let mut vipd = Command::new(binary());
    vipd.args(["check", "--json", "--config-id", "vm"]).arg(&file);
    let said: Value = serde_json::from_str(&output(&node, vipd)).unwrap();
    let messages = said["diagnostics"].as_array().unwrap().iter();
    let ours: BTreeSet<&str> = messages
        .filter_map(|d| {
            d["message"].as_str()?.strip_prefix("unknown keyword \"")?.strip_suffix('"')
        })
        .collect();

    // keepalived takes a brace it did not expect for a keyword.
    let theirs: BTreeSet<&str> = theirs.into_iter().filter(|word| *word != "}").collect();
    assert!(theirs.len() > 60, "{theirs:?}");
    assert_eq!(ours, theirs);
}

fn output(node: &Node, command: Command) -> String {
    let done = node.output(command, SOON).unwrap();
    // vipd answers on standard output, keepalived logs to standard error.
    if done.stdout.is_empty() { done.stderr } else { done.stdout }
}
