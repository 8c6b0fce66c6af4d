// The C library under one name: what imports Platform has its functions, whatever the system calls the module.

#if canImport(Glibc)
  @_exported public import Glibc
#elseif canImport(Musl)
  @_exported public import Musl
#else
  @_exported public import Darwin
#endif

/// `SOCK_STREAM` as `socket` takes it: glibc's module has an enumeration in its place.
#if canImport(Glibc)
  package let streamSocket = Int32(SOCK_STREAM.rawValue)
#else
  package let streamSocket = SOCK_STREAM
#endif
