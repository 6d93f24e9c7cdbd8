use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Print a shell script that completes commands and options.
#[derive(Args)]
#[command(after_help = "\
Examples:
  faa-runtime completions bash > ~/.local/share/bash-completion/completions/faa-runtime
  faa-runtime completions fish > ~/.config/fish/completions/faa-runtime.fish")]
pub(crate) struct Completions {
    /// Shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<()> {
        let mut command = crate::Arguments::command();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "faa-runtime", &mut script);
        super::print(&String::from_utf8(script)?)
    }
}
