// Memory for going back in hybrid models.

import ArgumentParser
import Generation

/// For models that have recurrent layers besides attention.
struct StateOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Memory of each context for copies of recurrent layers' states, of hybrid models: the more, the less is read again \
      after an edit. (default: 1G)
      """, valueName: "size"))
  var stateMemory: ByteCount?

  func apply(to host: GuestHost) {
    if let stateMemory { host.stateBudget = stateMemory.bytes }
  }
}
