// `ra bench`.

import ArgumentParser

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure speed beside llama.cpp, and kinds of index beside each other.",
    subcommands: [
      BenchSpeedCommand.self, BenchDecodeCommand.self, BenchPrefillCommand.self, BenchDraftsCommand.self,
      BenchEvidenceCommand.self, BenchIndexCommand.self, BenchMachineCommand.self,
    ])
}
