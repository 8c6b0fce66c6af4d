// From the command line to an exit status: nothing that is written may end the program but here.

import ArgumentParser
import Foundation
import Platform

@main
enum Program {
  static func main() async {
    StandardStream.prepare()
    MappingWatch.endProcess(
      saying:
        "\nError: a file that is mapped into memory, such as the model, became shorter while it was in use\n")
    let status = await run(Array(CommandLine.arguments.dropFirst()))
    exit(status)
  }

  private static func run(_ arguments: [String]) async -> Int32 {
    let result: (any Error)?
    do {
      if let problem = CommandSuggestion.problem(in: arguments, of: RaCommand.self) { throw problem }
      var command = try await RaCommand.asyncParseAsRoot(arguments)
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
      result = nil
    } catch {
      result = error
    }
    var status = ExitCode.success
    if let result, !(result is StandardStream.Failure) {
      status = RaCommand.exitCode(for: result)
      let message =
        ErrorAdvice.message(for: result).map { "Error: \($0)" } ?? RaCommand.fullMessage(for: result)
      if !message.isEmpty {
        (status.isSuccess ? StandardStream.output : .error).write(message + "\n")
      }
    }
    if let failure = StandardStream.output.failure {
      // As if the system had ended the program, which it does for one that knows nothing of pipes.
      if failure.isClosedPipe { return 128 + SIGPIPE }
      StandardStream.error.write("Error: \(failure)\n")
      return ExitCode.failure.rawValue
    }
    // Nobody can be told what was to be told here. A stream that was closed on purpose is no failure.
    if let failure = StandardStream.error.failure, !failure.isClosed, status.isSuccess {
      return ExitCode.failure.rawValue
    }
    return status.rawValue
  }
}
