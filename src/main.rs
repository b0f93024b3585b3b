    vipd::cli::main()
fn main() -> std::process::ExitCode {
fn main() {}
}
