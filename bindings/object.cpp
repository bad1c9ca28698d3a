#include "object.h"

namespace bitwright::bindings {

val Object::operator[](const char* key) const { return val::operator[](key); }
val Object::operator[](unsigned index) const { return val::operator[](index); }
std::string Object::text(const char* key) const { return (*this)[key].as<std::string>(); }
double Object::number(const char* key) const { return (*this)[key].as<double>(); }
bool Object::truth(const char* key) const { return (*this)[key].as<bool>(); }

void Object::set(const char* key, const val& value) { val::set(key, value); }
void Object::set(const char* key, const std::string& text) { set(key, val(text)); }
void Object::set(const char* key, double number) { set(key, val(number)); }
void Object::set(const char* key, bool truth) { set(key, val(truth)); }

}  // namespace bitwright::bindings
