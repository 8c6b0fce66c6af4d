// How answers end, and what is told behind them.

import ArgumentParser

struct StatisticsOption: ParsableArguments {
  @Flag(help: "Tell all measurements behind the answer, instead of a line.")
  var stats = false
}

struct RepetitionOption: ParsableArguments {
  @Flag(help: "Let answers go on that repeat the same words again and again; without, they are stopped.")
  var allowRepetition = false
}
