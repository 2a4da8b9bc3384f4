// The one type of OpenMP's that FAISS's graph headers name. Clang brings this header only with its own OpenMP, which
// Capstan does not use: the locks of a graph are made and freed inside libfaiss.
#ifndef CAPSTAN_OMP_H
#define CAPSTAN_OMP_H

typedef struct {
    unsigned char opaque[4];
} omp_lock_t;

#endif
