import LlamaHost
import Testing

extension HostTests {
  @Suite struct ThreadPoolTests {
    @Test(arguments: [1, 2, 3], [0, 1, 2, 3, 7, 64, 1000])
    func everyIndexOnce(_ threads: Int, _ count: Int) throws {
      let pool = try ThreadPool(threadCount: threads, poll: 0)
      #expect(pool.threadCount == threads)
      let visits = UnsafeMutableBufferPointer<Int>.allocate(capacity: max(1, count))
      let workers = UnsafeMutableBufferPointer<Int>.allocate(capacity: max(1, count))
      defer {
        visits.deallocate()
        workers.deallocate()
      }
      visits.initialize(repeating: 0)
      workers.initialize(repeating: 0)
      for round in 1...20 {
        pool.parallel(count: count) { index, worker in
          visits[index] += 1
          workers[index] = worker
        }
        for index in 0..<count {
          #expect(visits[index] == round)
          #expect((0..<threads).contains(workers[index]))
        }
      }
    }

    @Test func invalidSettings() {
      #expect(throws: LlamaError.self) { try ThreadPool(threadCount: 0) }
      #expect(throws: LlamaError.self) { try ThreadPool(threadCount: 100_000) }
      #expect(throws: LlamaError.self) { try ThreadPool(threadCount: 1, poll: 101) }
      #expect(ThreadPool.defaultThreadCount >= 1)
    }

    @Test func callsInsideTheBodyTrap() async {
      await #expect(processExitsWith: .failure) {
        let pool = try ThreadPool(threadCount: 1)
        pool.parallel(count: 2) { _, _ in pool.parallel(count: 2) { _, _ in } }
      }
    }

    #if os(Linux)
      @Test func quotasAndLists() {
        #expect(ProcessorCount.quota("max 100000") == nil)
        #expect(ProcessorCount.quota("-1 100000") == nil)
        #expect(ProcessorCount.quota("150000 100000") == 2)
        #expect(ProcessorCount.quota("50000 100000") == 1)
        #expect(ProcessorCount.processors("0-3,8\n") == [0, 1, 2, 3, 8])
        #expect(ProcessorCount.processors("") == [])
      }
    #endif
  }
}
