"""Pixels: conversion, cleaning, filters and their comparison."""
