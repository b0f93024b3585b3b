//! `vipd generate`: what packages need from the command-line definition.

use clap::{CommandFactory, Subcommand};
use clap_complete::Shell;

use super::schema::Printed;
use super::{Cli, print};

/// What can be said to `vipd generate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The option sections of the manual page, in roff
    Man,
    /// A completion script
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// The JSON Schema of what a command prints with --json, or of vipd.toml
    Schema {
        /// Of what
        printed: Printed,
    },
}

pub(super) fn run(args: &Args) -> u8 {
    let mut command = Cli::command();
    let mut text = Vec::new();
    match args.what {
        // Writing to a vector cannot fail.
        What::Man => drop(clap_mangen::Man::new(command).render(&mut text)),
        What::Schema { printed } => text = printed.schema().into_bytes(),
        What::Completions { shell } => {
            clap_complete::generate(shell, &mut command, "vipd", &mut text);
        }
    }
    print(&String::from_utf8_lossy(&text))
}
