// Attention code does not know who owns the threads. Whoever calls it says how to run independent tasks.

/// Runs independent tasks, on a pool of the caller's or one after another.
public struct ParallelRunner {
  /// Upper bound of the worker numbers that tasks are given, at least 1.
  public let workerCount: Int
  private let execute: (_ count: Int, _ task: (_ index: Int, _ worker: Int) -> Void) -> Void

  /// - Parameter execute: must call `task` exactly once for each index in `0..<count`, with a worker number in
  ///   `0..<workerCount` that no two running tasks share, and return when all are done. Tasks must start in the order
  ///   of their indices, since one may wait for results of those before it.
  public init(
    workerCount: Int, execute: @escaping (_ count: Int, _ task: (_ index: Int, _ worker: Int) -> Void) -> Void
  ) {
    self.workerCount = max(1, workerCount)
    self.execute = execute
  }

  /// One task after another on the calling thread.
  public static var serial: ParallelRunner {
    ParallelRunner(workerCount: 1) { count, task in
      for index in 0..<count { task(index, 0) }
    }
  }

  /// Calls `task` for each index in `0..<count` and returns when all are done. Tasks start in order, and run at the
  /// same time: one may wait for another of a lower index.
  public func run(_ count: Int, _ task: (_ index: Int, _ worker: Int) -> Void) {
    guard count > 0 else { return }
    execute(count, task)
  }
}
