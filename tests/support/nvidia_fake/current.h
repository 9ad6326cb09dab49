// What the fakes of NVIDIA's libraries share with the program: a library of its own (current.cpp), as they
// are opened each by itself.
#pragma once

#include <string_view>

namespace tstitch::fake {

// The n-th call of a function from now on, counted from 1, answers this status and does nothing else.
struct Fault {
  const char* call = "";
  int n = 1, status = 0;
};
void set_fault(const Fault& fault);
// What a call of a function has to answer; 0: nothing is wrong.
int fault(std::string_view call);

// The device that is current in this thread; -1: none has been said.
int& current_device();

}  // namespace tstitch::fake
