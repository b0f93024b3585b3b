//! What keepalived 2.2.7 makes of these lines, line by line, except where a test says otherwise.

use std::path::{Path, PathBuf};

use super::Preprocessor;
use crate::config::diag::{Diagnostic, SourceMap, Span};
use crate::config::sources::{Loading, ReadError, Sources, Text};
use crate::import::keepalived::lexer::{Token, Word};

struct Nothing;

impl Sources for Nothing {
    fn read(&self, path: &Path) -> Result<Text, ReadError> {
        Err(ReadError { path: path.to_owned(), reason: "there are no files".into() })
    }

    fn glob(&self, _: &Path, _: &str) -> Vec<PathBuf> {
        Vec::new()
    }

    fn host_name(&self) -> Option<String> {
        Some("vm.example".into())
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "HOME").then(|| "/root".into())
    }
}

/// The words of each line, braces as lines of their own, and what was said.
fn read(text: &str) -> (Vec<String>, Vec<Diagnostic>) {
    let mut load = Loading {
        sources: &Nothing,
        map: SourceMap::default(),
        out: Vec::new(),
        unreadable: false,
    };
    let file = load.map.add("etc/a.conf", text);
    let mut preprocessor = Preprocessor::new(Nothing.config_id());
    let read = Text { text: text.to_owned(), ..Text::default() };
    preprocessor.file(&mut load, file, Path::new("etc/a.conf"), &read);
    let mut lines = Vec::new();
    for token in preprocessor.finish(&mut load) {
        match token {
            Token::Line(words) => {
                words.iter().for_each(|word| stands_there(word, &load.map));
                let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
                lines.push(words.join("|"));
            }
            Token::Open(_) => lines.push("{".to_owned()),
            Token::Close(_) => lines.push("}".to_owned()),
            Token::Begin | Token::End => {}
        }
    }
    (lines, load.out)
}

/// That a word stands where it says it stands, or is put there by what does.
#[track_caller]
fn stands_there(word: &Word, map: &SourceMap) {
    let written = |span: Span| &map.file(span.file).unwrap().text[span.start..span.end];
    let here = written(word.span);
    match map.trail(word.span).last() {
        // A definition is the reason why the word differs from what the file has here.
        Some(step) => assert!(here.contains('$') && !written(step.at).is_empty(), "{word:?}"),
        None if here.contains(['$', '\\', '"', '\'']) => {}
        None => assert_eq!(here, word.text, "{word:?}"),
    }
}

/// That each text gives these lines, without a word.
#[track_caller]
fn gives(cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        let (lines, said) = read(text);
        assert_eq!(lines, *expected, "{text:?}");
        assert_eq!(said, [], "{text:?}");
    }
}

#[test]
fn names_end_where_keepalived_ends_them() {
    gives(&[
        ("$A=one\nx $A ${A} $A, ($A) $A", &["x|one|one|one,|(one)|one"]),
        ("$A=one\nx $A. $A/x $A-y \"$A\"", &["x|$A.|$A/x|$A-y|$A"]),
        ("$A=one\nx${A}y \"${A} $A z\"", &["xoney|one one z"]),
        ("$A=one\nx $$A $3 $", &["x|$one|$3|$"]),
        ("$A=a b c   \n$B=\nx${A}|$B y", &["xa|b|c||y"]),
        ("$A=x # comment\n$A", &["x"]),
        ("$H=\"quoted value\"\n11${H}", &["11|quoted value"]),
        ("$_u=under\n${_u}", &["under"]),
        ("  $A=1\n  $A", &["1"]),
    ]);
}

#[test]
fn values_follow_the_names_in_them() {
    gives(&[
        ("$C=${D}\n$D=late\n$C\n$D=later\n$C", &["late", "later"]),
        ("$P=$Q\n$Q=q\nx $P/y $P", &["x|$P/y|q"]),
        ("$A=one\n$N=A\nx ${$N }", &["x|${A }"]),
        ("$D=$X=5\n$X=1\n$D\nx $X", &["x|5"]),
        ("$_HASH=zz\n${_HASH}", &["zz"]),
    ]);
}

#[test]
fn values_of_several_lines_end_a_line() {
    let two = "$K= \\\nl1 a \\\n  l2 b\n";
    gives(&[
        (&format!("{two}$K\n${{K}}"), &["l1|a", "l2|b", "l1|a", "l2|b"]),
        (&format!("{two}x $K # comment"), &["x|l1|a", "l2|b"]),
        ("$M=m1 \\\nm2\n$M", &["m1", "m2"]),
        ("$M= \\\n# no part \\\nm1 \\ # c\nm2 # c \\\nm3\n$M", &["m1", "m2", "m3"]),
        ("$M= \\\nm1 \\\n# no end\nm2 \\\n  \nm3\nend\n$M", &["end", "m1", "m2", "m3"]),
        ("$ONE= \\\nonly\nx $ONE y ${ONE}", &["x|only|y|only"]),
        ("$M= \\\na { \\\n@vm b \\\n@lb c \\\n}\n$M", &["a", "{", "b", "}"]),
        (
            "$IN= \\\nin1 $V \\\nin2 $V\n$OUT= \\\no1 \\\n$V=1 \\\n$IN \\\n$V=2 \\\np $IN \\\no2\n$OUT",
            &["o1", "in1|1", "in2|1", "p|in1|2", "in2|2", "o2"],
        ),
    ]);
    let (lines, said) = read("$N= \\\nn1 \\\n\nn2\n$N");
    assert_eq!(lines, ["n2", "n1"]);
    assert_eq!(said.len(), 1);
}

#[test]
fn conditions_look_at_the_config_id() {
    gives(&[
        ("@vm a\n@lb b\n@^vm c\n@^lb d\n @vm e", &["a", "d", "e"]),
        ("@vm $X=2\n@lb $X=3\n$X", &["2"]),
        ("$Y=@vm\n$Z=@lb\n$Y a\n$Z b", &["a"]),
        ("@VM a\n@vm b @lb c", &["b|@lb|c"]),
        ("@vm x { @vm y\n@lb z\n@vm }", &["x", "{", "y", "}"]),
        ("~SEQ(V, 1, 2) @vm a $V\n@lb ~SEQ(V, 1, 2) b", &["a|1", "a|2"]),
    ]);
    // One after the other, which keepalived does not do: all must hold.
    gives(&[("@vm @lb a\n@vm @^lb b", &["b"])]);
}

#[test]
fn the_built_in_names_are_known() {
    gives(&[
        ("x ${_PWD} ${_INSTANCE} ${_HASH}y ${_BANG}z", &["x|etc|vm|#y|!z"]),
        ("instance other\n${_INSTANCE}", &["instance|other", "vm"]),
        ("${_RANDOM 5 5}", &["5"]),
        ("x ${_ENV HOME}", &["x|/root"]),
    ]);
    let number = |text: &str| read(text).0[0].parse::<u32>().unwrap();
    assert!((30000..=32767).contains(&number("${_RANDOM 30000}")));
    assert_eq!(number("${_RANDOM}"), number("${_RANDOM}"));
    let (lines, _) =
        read("random_seed 1\n${_RANDOM}\nrandom_seed 2\n${_RANDOM}\nrandom_seed 1\n${_RANDOM}");
    assert_ne!(lines[1], lines[3]);
    assert_eq!(lines[1], lines[5]);
    assert_eq!(read("${_RANDOM 5 3}").1.len(), 1);
}

#[test]
fn sequences_count_as_keepalived_counts() {
    gives(&[
        ("~SEQ(A,1,3) x${A}", &["x1", "x2", "x3"]),
        ("~SEQ(A, 3) x${A}", &["x1", "x2", "x3"]),
        ("~SEQ(A,-3) x${A}", &["x-1", "x-2", "x-3"]),
        ("~SEQ(A,0) x${A}", &["x1", "x0"]),
        ("~SEQ(A,3,1) x${A}", &["x3", "x2", "x1"]),
        ("~SEQ( A , 1 , 2 , 6 ) x${A}", &["x1", "x3", "x5"]),
        ("~SEQx(A, 8, 0xb) x${A}", &["x8", "x9", "xa", "xb"]),
        ("~SEQ(A, 010, 011) x${A}", &["x8", "x9"]),
        ("~SEQ (A,1,2)x${A}", &["x1", "x2"]),
        ("~SEQ(A,1,2)~SEQ(B,1,$A)x${A}${B}", &["x11", "x21", "x22"]),
        ("$N=2\n~SEQ(A,1,${N}) x${A}\n$A", &["x1", "x2", "2"]),
        ("$L=~SEQ(Z,1,2)\n$L x${Z}\n$M=~SEQ(Y,1,2) y${Y}\n$M", &["x1", "x2", "y1", "y2"]),
        ("$K= \\\n~SEQ(V,1,2) k${V} \\\n~SEQ(V,3) l${V}\n$K", &["k1", "k2", "l1", "l2", "l3"]),
        ("$K= \\\na $V \\\nb $V\n~SEQ(V,1,2) $K", &["a|1", "b|1", "a|2", "b|2"]),
        ("$A=7\na { ~SEQ(A,1,2) b $A\n}", &["a", "{", "b|1", "b|2", "}"]),
    ]);
}

#[test]
fn lists_go_through_their_values() {
    gives(&[
        ("~LST(V,a,b,c) x${V}", &["xa", "xb", "xc"]),
        ("~LST(V, a,,b) x${V}", &["xa", "x", "xb"]),
        ("~LST(V,) x${V}", &["x"]),
        ("~LST({P, Q} ,{1, 2} , {3,4}) ${P}-$Q", &["1-2", "3-4"]),
        ("~LST({P,Q},{1,2},{3}) ${P}-${Q}", &["1-2", "3-"]),
        ("~LST({P,Q},1,{2}) ${P}-${Q}", &["1-", "2-"]),
        ("~LST(V,{a},b) x${V}", &["xa", "xb"]),
        ("~LST(V,1,2) ~SEQ(W,1,2) $V $W", &["1|1", "1|2", "2|1", "2|2"]),
    ]);
}

#[test]
fn braces_and_quotes_split_a_line() {
    gives(&[
        ("a{b c}d", &["a", "{", "b|c", "}", "d"]),
        ("\"b { c\" d {", &["b { c|d", "{"]),
        ("$J=x {\n$J\n}", &["x", "{", "}"]),
        ("a \"\"", &["a|"]),
        ("a\r\nb\r\n", &["a", "b"]),
        ("// x", &["//|x"]),
        ("\u{feff}a", &["a"]),
        ("a 'b \\#c'", &["a|'b|#c'"]),
        ("a \"b\"c\"d e\"", &["a|b|c|d e"]),
        ("x#y\nx\\!y", &["x", "x!y"]),
        ("script \"/x 'a b'\"' c' user", &["script|/x 'a b' c|user"]),
        ("script \"x \\\" { y\" z", &["script|x \" { y|z"]),
        ("notify_master \"/x \\x41\\102\\t\"", &["notify_master|/x AB\t"]),
    ]);
}

#[test]
fn what_is_wrong_with_characters_is_said() {
    for (text, lines) in [
        ("a \"b\nc", vec!["a|b", "c"]),
        ("a\0\nb", vec!["b"]),
        (&format!("a {}", "x".repeat(1100)), vec![&*format!("a|{}", "x".repeat(1100))]),
        (&format!("a {}\nb", "x".repeat(70_000)), vec!["b"]),
        ("script '/x", vec!["script|/x"]),
        ("script /x\\0", vec!["script|/x"]),
        ("a \\\nb", vec!["a|\\", "b"]),
        ("x ${A} $B", vec!["x|${A}|$B"]),
        ("x ${A 1}", vec!["x|${A 1}"]),
        ("$A = 1", vec![]),
    ] {
        let (found, said) = read(text);
        assert_eq!(found, lines, "{text:?}");
        let expected = match text {
            "x ${A} $B" => 2,
            "a \\\nb" => 0,
            _ => 1,
        };
        assert_eq!(said.len(), expected, "{text:?}: {said:?}");
    }
}
