//! What the bench target starts to have valgrind run it: gungraun's own runner, built with the benches and so
//! of their version, with nothing to install.

use std::io::Read;
use std::process::{Command, ExitCode, Stdio};

use consensus_bench::exit::{EXIT_REGRESSION, EXIT_TOOL};
use consensus_bench::gate::instructions::NO_VALGRIND;
use gungraun_runner::error::Error;

fn main() -> ExitCode {
    let valgrind = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !valgrind.is_ok_and(|status| status.success()) {
        // The bench target writes its configuration to us, and would complain if no one read it.
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        eprintln!("not run: {NO_VALGRIND}");
        return ExitCode::SUCCESS;
    }
    let Err(error) = gungraun_runner::runner::run::run() else { return ExitCode::SUCCESS };
    if let Some(Error::RegressionError(_)) = error.downcast_ref() {
        return EXIT_REGRESSION.into();
    }
    eprintln!("{error:#}");
    EXIT_TOOL.into()
}
