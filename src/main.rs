//! See the library, `vipd`.

fn main() -> std::process::ExitCode {
    vipd::cli::main()
}
