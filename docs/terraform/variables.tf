variable "region" {
  description = "The region in which the function runs, and of clusters for which schedules.yaml names none."
  type        = string
}

variable "project_id" {
  description = "The project of clusters for which schedules.yaml names none."
  type        = string
}

variable "agency" {
  description = "The IAM agency for the cloud service FunctionGraph whose rights the function has."
  type        = string
}

variable "package" {
  description = "The zip that `cce-scheduler package` made."
  type        = string
  default     = "function.zip"
}

variable "runtime" {
  description = "The Python that the zip was made for."
  type        = string
  default     = "Python3.10"
}

variable "name" {
  description = "The function's name."
  type        = string
  default     = "cce-scheduler"
}

variable "enabled" {
  description = "Whether the timer runs the function. Begin with false, test the function with {\"action\": \"plan\"}, then turn it on."
  type        = bool
  default     = false
}
