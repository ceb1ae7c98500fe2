"""The plain functions that every peer runs."""


def square(x):
    return x * x


def burn(n):
    total = 0
    for i in range(n):
        total += i * i
    return total
