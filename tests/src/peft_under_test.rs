//! The program, under a name of its own: cargo gives a test only the binaries of its own package.

fn main() -> std::process::ExitCode {
    peft_cli::main()
}
