// One set of threads for llama.cpp's work and ours: two sets would spin against each other on the same cores.

import CLlama
import Synchronization

/// ggml's threads, shared by contexts and by whoever else has work to split.
///
///     let pool = try ThreadPool()
///     pool.parallel(count: heads) { head, worker in … }
///
/// It owns ggml's threads and the graph by which they are called. One owner at a time: a pool computes one thing, so
/// use it from one thread at once (it traps otherwise).
@safe public final class ThreadPool {
  /// ggml's own limit, GGML_MAX_N_THREADS.
  public static let threadCountRange = 1...512

  /// Physical cores, limited by the affinity mask and the control group's quota.
  public static let defaultThreadCount = min(ProcessorCount.physical(), threadCountRange.upperBound)

  /// The thread that calls included.
  public let threadCount: Int
  let handle: OpaquePointer
  private let job: Job
  private let context: OpaquePointer
  private let graph: OpaquePointer
  private var plan: ggml_cplan
  private let workBuffer: UnsafeMutablePointer<UInt8>
  private let isBusy = Atomic(false)

  /// Starts `threadCount - 1` threads; the caller's is the remaining one.
  ///
  /// - Parameter poll: How long threads spin for the next work before they sleep, 0 (not at all) to 100. Threads
  ///   that spin start on a piece of work sooner than those that have to be woken, but burn time for some
  ///   milliseconds after the last work.
  public init(threadCount: Int = ThreadPool.defaultThreadCount, poll: Int = 50) throws {
    guard Self.threadCountRange.contains(threadCount) else {
      throw LlamaError.threadCountOutOfRange(threadCount, allowed: Self.threadCountRange)
    }
    guard (0...100).contains(poll) else { throw LlamaError.pollOutOfRange(poll) }
    try HostProcessor.check()
    HostBackend.start()
    var parameters = ggml_threadpool_params_default(Int32(threadCount))
    parameters.poll = UInt32(poll)
    guard let handle = unsafe ggml_threadpool_new(&parameters) else {
      throw LlamaError.threadPoolNotCreated(threadCount: threadCount)
    }
    self.threadCount = threadCount
    unsafe self.handle = unsafe handle
    job = Job()
    // A graph of one custom node, made once. The node runs on every thread, and each takes tasks until none
    // is left.
    let size = ggml_graph_overhead_custom(4, false) + 4 * ggml_tensor_overhead() + 1024
    guard let context = unsafe ggml_init(ggml_init_params(mem_size: size, mem_buffer: nil, no_alloc: true)),
      let graph = unsafe ggml_new_graph_custom(context, 4, false),
      let node = unsafe ggml_custom_4d(
        context, GGML_TYPE_I8, 1, 1, 1, 1, nil, 0,
        { _, worker, _, state in
          guard let state = unsafe state else { return }
          unsafe Unmanaged<Job>.fromOpaque(state)._withUnsafeGuaranteedRef { $0.work(worker: Int(worker)) }
        },
        // GGML_N_TASKS_MAX, a macro: as many tasks as threads.
        -1, Unmanaged.passUnretained(job).toOpaque())
    else {
      unsafe ggml_threadpool_free(handle)
      throw LlamaError.threadPoolNotCreated(threadCount: threadCount)
    }
    unsafe self.context = unsafe context
    unsafe self.graph = unsafe graph
    unsafe ggml_build_forward_expand(graph, node)
    unsafe plan = unsafe ggml_graph_plan(graph, Int32(threadCount), handle)
    unsafe workBuffer = unsafe .allocate(capacity: max(1, plan.work_size))
    unsafe plan.work_data = unsafe workBuffer
  }

  deinit {
    unsafe ggml_threadpool_free(handle)
    unsafe ggml_free(context)
    unsafe workBuffer.deallocate()
  }

  /// Runs `body` once for every index in `0..<count`, on all threads, and returns when all are done.
  ///
  /// Threads take the next index when they are done with one, so uneven tasks balance; lower indices start
  /// first. Cost: microseconds besides the work; no allocation. May be called inside
  /// ``AttentionGuest/attend(_:sequence:parallel:)``, but not inside `body`: that traps.
  ///
  /// - Parameter body: Gets the index and the number of the thread, `0..<threadCount`; the thread that called
  ///   is 0. Runs concurrently with itself, which the compiler does not check here: write to distinct places.
  public func parallel(count: Int, _ body: (_ index: Int, _ worker: Int) -> Void) {
    guard count > 0 else { return }
    precondition(
      isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged,
      "ThreadPool.parallel was called inside its own body or by two threads at once")
    defer { isBusy.store(false, ordering: .releasing) }
    guard count > 1, threadCount > 1 else {
      for index in 0..<count { body(index, 0) }
      return
    }
    withoutActuallyEscaping(body) { body in
      job.start(count: count, body)
      let status = unsafe ggml_graph_compute(graph, &plan)
      job.finish()
      precondition(status == GGML_STATUS_SUCCESS, "ggml could not run a task on its own threads")
    }
  }

  /// The same for code that does not know who owns the threads.
  public var runner: ParallelRunner {
    ParallelRunner(workerCount: threadCount) { [unowned self] count, task in parallel(count: count, task) }
  }

  /// The tasks of one call.
  ///
  /// `@unchecked`: body and count are written before the threads are woken and read until they are done;
  /// ggml's barriers order both.
  private final class Job: @unchecked Sendable {
    private let next = Atomic(0)
    private var count = 0
    private var body: ((Int, Int) -> Void)?

    func start(count: Int, _ body: @escaping (Int, Int) -> Void) {
      self.count = count
      self.body = body
      next.store(0, ordering: .relaxed)
    }

    func finish() { body = nil }

    func work(worker: Int) {
      guard let body else { return }
      while true {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard index < count else { return }
        body(index, worker)
      }
    }
  }
}
