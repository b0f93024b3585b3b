//! keepalived.conf through the front door.

use std::path::{Path, PathBuf};

use vipd::cli::sources::FileSystem;
use vipd::config::load::load;

fn published(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config/published").join(name)
}

#[test]
fn published_configurations_load() {
    for name in ["edge.conf", "patroni-2node-master.conf", "patroni-2node-backup.conf"] {
        let loaded = load(&FileSystem, &[published(name)], None)
            .unwrap_or_else(|f| panic!("{}", f.render()));
        for w in &loaded.warnings {
            println!("{}", w.render(&loaded.map, false));
        }
        println!("{:#?}", loaded.config);
    }
}
