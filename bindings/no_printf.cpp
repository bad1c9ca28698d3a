// Embind would print the number of a type that it does not know, the one printf of the module: 4 kB before compression.
// The linker's --wrap gives it this instead (cmake/wasm.cmake); compilers call siprintf where no float is printed.
extern "C" int __wrap_sprintf(char* text, const char*, ...) {
  text[0] = '?';
  text[1] = '\0';
  return 1;
}
extern "C" int __wrap_siprintf(char* text, const char* format, ...) { return __wrap_sprintf(text, format); }
