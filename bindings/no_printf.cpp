// Embind would print the number of a type that it does not know, the one printf of the module: 4 kB before compression.
// The linker's --wrap gives it this instead (cmake/wasm.cmake).
extern "C" int __wrap_sprintf(char* text, const char*, ...) {
  text[0] = '?';
  text[1] = '\0';
  return 1;
}
