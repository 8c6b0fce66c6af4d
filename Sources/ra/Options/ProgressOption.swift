// Whether work tells how it goes.

import ArgumentParser

/// What long work writes besides its results.
struct ProgressOption: ParsableArguments {
  @Flag(
    name: .shortAndLong,
    help: "Write results, warnings and errors only: no progress, and no line about what it took.")
  var quiet = false

  /// For what the command has to say.
  var console: Console { Console(quiet: quiet) }
}
