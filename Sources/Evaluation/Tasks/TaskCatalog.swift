// All tasks by name.

/// The tasks that need no download.
public enum TaskCatalog {
  /// RULER's first, then InfiniteBench's, then the grid.
  public static let all: [any EvaluationTask] =
    NeedleTask.variants.filter { $0.name.hasPrefix("niah") } as [any EvaluationTask]
    + [
      VariableTrackingTask(), CommonWordsTask(), FrequentWordsTask(), HiddenNumberTask.passKey,
      HiddenNumberTask.number, KeyValueTask(),
    ] + NeedleTask.variants.filter { !$0.name.hasPrefix("niah") }

  /// Names that stand for several tasks.
  public static let groups: [(name: String, tasks: [String])] = [
    ("ruler", all.map(\.name).filter { $0.hasPrefix("niah") || ["vt", "cwe", "fwe"].contains($0) }),
    ("infinitebench", [HiddenNumberTask.passKey.name, HiddenNumberTask.number.name, KeyValueTask().name]),
    ("all", all.map(\.name)),
  ]

  /// Tasks and groups, in the order given, each task once.
  ///
  /// Throws ``TaskError/unknownTask(_:known:)``.
  public static func tasks(named names: [String]) throws(TaskError) -> [any EvaluationTask] {
    var chosen: [any EvaluationTask] = []
    for name in names {
      let wanted = groups.first { $0.name == name }?.tasks ?? [name]
      for name in wanted where !chosen.contains(where: { $0.name == name }) {
        guard let task = all.first(where: { $0.name == name }) else {
          throw .unknownTask(name, known: all.map(\.name) + groups.map(\.name))
        }
        chosen.append(task)
      }
    }
    return chosen
  }
}
